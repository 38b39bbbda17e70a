"""What a run leaves behind: its folder, figures, report page, model card, and the machine it ran on."""
