#!/usr/bin/env python3
"""Runs test programs against one private PostgreSQL cluster: run.py PROGRAM...

Every program runs, whatever the others do; the exit code is 1 if one failed. They find the cluster
by FOZ_TEST_PGHOST and make databases of their own.
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import postgres  # noqa: E402


def main() -> int:
    failed = []
    with postgres.Cluster(settings={"max_connections": "50"}) as cluster:
        environment = dict(os.environ, FOZ_TEST_PGHOST=str(cluster.scratch),
                           FOZ_TEST_ROLES_SQL=str(ROOT / "deploy" / "roles.sql"))
        for program in sys.argv[1:]:
            if subprocess.run([program], env=environment, check=False).returncode != 0:
                failed.append(program)
    for program in failed:
        print("failed: " + program, file=sys.stderr)
    return 1 if failed else 0


sys.exit(main())
