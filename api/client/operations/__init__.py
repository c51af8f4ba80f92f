"""What a server does, an operation each: the steps to its answer, which both clients take."""
