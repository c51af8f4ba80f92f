"""What a served model may hold: lists of operations, and the audits that apply them."""
