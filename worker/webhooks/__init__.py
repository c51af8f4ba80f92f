"""Webhooks: telling a receiver that a job has ended, and telling nobody else anything.

`targets` and `addresses` say where a webhook may go, `signatures` how it is signed, `deliveries`
what waits in Redis, `sending` makes one attempt, `deliverer` is the program that makes them all.
"""
