"""The version of Permafrost."""

VERSION = "0.1.0"
