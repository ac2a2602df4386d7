"""Tracking of jobs in MLflow: one run a job, under one parent a start of the workflow.

The only door to mlflow. Without an address nothing is sent, and nothing else changes. What fails
behind the door ends no job: the job says so in its log and goes on.
"""

from gram.tracking.database import (
    ADDRESS_VARIABLE,
    default_address,
    make_database,
    without_password,
)
from gram.tracking.runs import JobIdentity, finish_invocation, tracked_job
from gram.tracking.tracker import RunAddress, Sink, Tracker, tracker_of_run

__all__ = [
    "ADDRESS_VARIABLE",
    "JobIdentity",
    "RunAddress",
    "Sink",
    "Tracker",
    "default_address",
    "finish_invocation",
    "make_database",
    "tracked_job",
    "tracker_of_run",
    "without_password",
]
