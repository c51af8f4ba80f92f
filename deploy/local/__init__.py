"""The whole system on one machine: `./permafrost up`.

supervisor keeps the services running; this package writes its configuration, starts the
services in order, says when the first prediction can be made and stops everything in order.
"""
