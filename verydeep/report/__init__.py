"""From a description of a network to text and pictures: tables, comparisons, drawings, plain source; no framework."""
