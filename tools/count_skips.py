"""Fails when a test report holds skipped tests, and lists them with their reasons.

Usage:  python tools/count_skips.py report.xml
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

cases = list(ET.parse(Path(sys.argv[1])).iter("testcase"))
skipped = [
    (case.get("name"), case.find("skipped").get("message")) for case in cases if case.find("skipped") is not None
]
for name, reason in skipped:
    print(f"skipped: {name}: {reason}")
print(f"{len(cases)} tests, {len(skipped)} skipped")
sys.exit(1 if skipped else 0)
