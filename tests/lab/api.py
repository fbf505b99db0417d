#!/usr/bin/env python3
"""The API against its own description: schemathesis makes thousands of requests out of it, right and wrong ones, and finds nothing.

    tests/lab/api.py             1,000 requests of each operation to target/release/xixin
    tests/lab/api.py --short     5 of each to target/debug/xixin

Needs schemathesis 4 (pip install schemathesis); XIXIN_SCHEMATHESIS names another one than that of the PATH.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys

import common
import installation

# A refusal by the rules of the hall (422) or by the version (412) is an answer to a good request; so is an item that is not there.
SETTINGS = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "410", "412", "422"]
missing_required_header.expected-statuses = ["400", "401", "428"]
"""

CASE = {
    "resident": {"name": "示例", "phone": "13900000021", "born": 1979},
    "matter": "cremation_certificate",
    "request": "示例",
    "deadlines": [{"kind": "cremation_reissue", "trigger": "unknown"}],
    "callbacks": [{"words": "问到就告诉您"}],
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    tool = os.environ.get("XIXIN_SCHEMATHESIS") or shutil.which("schemathesis")
    if not tool:
        sys.exit("schemathesis is missing: pip install schemathesis")
    with common.bench("api") as directory:
        lab = installation.Lab(directory, installation.program(not chosen.short), None)
        made = lab.run("token", "new", "lab").stdout
        token, section = made.split("\n", 1)
        section = section.replace('scopes = ["read"]', 'scopes = ["read", "write", "status"]').replace('unit = ""', 'unit = "district"')
        section = "[api]\nlisten = \"127.0.0.1:0\"\n" + section
        (lab.config / "conf.d" / "30-api.toml").write_text(section, encoding="utf-8")
        for _ in range(3):
            lab.run("case", "add", "-", "--as", "lin", given=json.dumps(CASE))
        daemon = lab.serve()
        try:
            status = json.loads(lab.run("ctl", "status", "--json").stdout)
            settings = lab.dir / "schemathesis.toml"
            settings.write_text(SETTINGS, encoding="utf-8")
            ran = subprocess.run(
                [
                    tool, "--config-file", settings, "run", f"http://{status['data']['api']}/api/v1/openapi.json",
                    "--header", f"Authorization: Bearer {token}",
                    "--max-examples", "5" if chosen.short else "1000",
                    "--seed", str(chosen.seed), "--continue-on-failure", "--warnings", "off",
                ],
                cwd=lab.dir,
                capture_output=True,
                text=True,
            )
        finally:
            daemon.kill()
        # The token is worth nothing any more, but nobody has to see it.
        print(ran.stdout.replace(token, "TOKEN")[-20_000:])
        panics = re.findall(r"panicked at .*", lab.log.read_text(encoding="utf-8"))
        common.conclude(panics + ([f"schemathesis ended with {ran.returncode}: {ran.stderr}"] if ran.returncode else []))


if __name__ == "__main__":
    main()
