"""Endpoints: anything that answers requests, from a server to a file."""

from cvalues.endpoints.base import Answer, Endpoint, Limits, LocalEndpoint, Price

__all__ = ["Answer", "Endpoint", "Limits", "LocalEndpoint", "Price"]
