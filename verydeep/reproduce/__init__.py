"""The paper's tables computed again: networks trained and tested as it says, its figures beside ours."""
