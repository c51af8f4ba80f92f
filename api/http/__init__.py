"""How requests are read and answers are written, for all views and pages alike."""
