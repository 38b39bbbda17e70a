"""`verydeep doctor`: check this machine and installation."""

import json
from dataclasses import asdict
from typing import Literal


def run(*, format: Literal["text", "json"] = "text") -> int:
    """Check this machine and installation: versions that go together, memory, disk, processor, GPU, data.

    Exit code 0 when nothing fails, 6 otherwise.

    Args:
        format: text or json.
    """
    from verydeep.record.environment import doctor

    findings = doctor()
    if format == "json":
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            print(f"{finding.status:5} {finding.name:{width}}  {finding.detail}")
            if finding.fix:
                print(f"{'':5} {'':{width}}  -> {finding.fix}")
    return 6 if any(finding.status == "fail" for finding in findings) else 0
