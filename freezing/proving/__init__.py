"""Deciding by examples, whose classes are known, how images must be prepared."""
