"""A frozen graph made smaller, and its batch dimension free."""
