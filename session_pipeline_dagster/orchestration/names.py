"""Names that users, tests and other tools rely on."""

PROCESSOR_TAG = "session_pipeline/processor"
FAILED_TAG = "files_failed"
"""Short, so that the list of runs shows all of it."""
GIVEN_UP_TAG = "files_given_up"
SESSION_FILES = "session_files"
PLUGINS_CHECK = "processors_loaded"


def job_name(processor: str) -> str:
    """The asset job of a processor."""
    return f"{processor}_job"


def sensor_name(processor: str) -> str:
    """The sensor of a processor."""
    return f"{processor}_sensor"


def pool_name(processor: str) -> str:
    """The pool that keeps a processor to one run at a time."""
    return f"session_processor_{processor}"


def health_job_name(processor: str) -> str:
    """The job that evaluates the health checks of a processor."""
    return f"{processor}_health_job"


def report_sensor_name(processor: str) -> str:
    """The sensor that asks for the reports of a processor."""
    return f"{processor}_report_sensor"
