"""Verifying: files are read again and compared with what they were when they were hashed."""

from modelhub.services.verify.check import Checked, Verdict
from modelhub.services.verify.run import VerifyReport, verify

__all__ = ["Checked", "Verdict", "VerifyReport", "verify"]
