"""The OpenAPI document: every operation with what it takes and all that it answers.

The models are those of `worker/contract/`. What is here says which operation takes and answers
which of them, and with which refusals (`worker.errors`).
"""
