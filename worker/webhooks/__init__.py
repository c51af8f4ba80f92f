"""Webhooks: reporting to a receiver, and to nobody else, that a job has ended.

`targets` and `addresses` say where a webhook may go, `signatures` how it is signed, `deliveries`
what waits in Redis, `sending` makes one attempt, `deliverer` is the program that makes them all.
"""
