"""Plants mistakes in a scratch repository and expects the checks to find each; also runs the counting tools on made-up suites."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).parent.parent.resolve()


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


class Scratch(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        self.put("tools/layers.txt", "".join(line for line in (TOOLS / "layers.txt").open() if not line.startswith("allow")))
        subprocess.run(["git", "init", "-q", self.root], check=True)

    def put(self, name, text, mode=0o644):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path


class Layers(Scratch):
    def check(self, name, include):
        self.put(name, f'#include "{include}"\n')
        return run(TOOLS / "check-layers", self.root)

    def assert_refused(self, name, include):
        result = self.check(name, include)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(f"{name}:1: includes {include}", result.stdout)

    def assert_allowed(self, name, include):
        result = self.check(name, include)
        self.assertEqual((result.returncode, result.stdout), (0, "1 passed, 0 failed\n"))

    def test_foundation_looks_down_only(self):
        self.assert_refused("src/sightline/base/a.h", "sightline/model/ids.h")

    def test_runtime_sees_model(self):
        self.assert_allowed("src/sightline/runtime/a.h", "sightline/model/ids.h")

    def test_runtime_sees_no_stage_port(self):
        self.assert_refused("src/sightline/runtime/a.h", "sightline/bus/port.h")

    def test_stage_sees_port(self):
        self.assert_allowed("src/sightline/flow/a.h", "sightline/bus/port.h")

    def test_stage_sees_shared_vocabulary(self):
        self.assert_allowed("src/sightline/flow/a.h", "sightline/governance/contract.h")

    def test_stage_sees_no_inside_of_another(self):
        self.assert_refused("src/sightline/flow/a.cc", "sightline/bus/embedded/log.h")

    def test_a_test_sees_the_embedded_default(self):
        self.assert_allowed("src/sightline/flow/a_test.cc", "sightline/bus/embedded/log.h")

    def test_no_stage_sees_a_connector(self):
        self.assert_refused("src/sightline/flow/a.cc", "connectors/kafka/bus.h")

    def test_connector_sees_no_other_connector(self):
        self.assert_refused("connectors/kafka/a.cc", "connectors/s3/b.h")

    def test_connector_sees_port_and_itself(self):
        self.assert_allowed("connectors/kafka/a.cc", "sightline/bus/port.h")
        self.assert_allowed("connectors/kafka/a.cc", "connectors/kafka/b.h")

    def test_exception_is_one_header_only(self):
        rule = self.root / "tools/layers.txt"
        rule.write_text(rule.read_text() + "allow flow gate/judge.h\n")
        self.assert_allowed("src/sightline/flow/a.cc", "sightline/gate/judge.h")
        self.assert_refused("src/sightline/flow/b.cc", "sightline/gate/plan.h")

    def test_exception_that_nothing_needs(self):
        rule = self.root / "tools/layers.txt"
        rule.write_text(rule.read_text() + "allow flow gate/judge.h\n")
        result = self.check("src/sightline/flow/a.cc", "sightline/bus/port.h")
        self.assertEqual(result.returncode, 1)
        self.assertIn("nothing needs this exception", result.stdout)

    def test_empty_repository_is_no_success(self):
        self.assertEqual(run(TOOLS / "check-layers", self.root).returncode, 1)


class Repository(Scratch):
    def findings(self):
        return run(TOOLS / "check-repo", self.root).stdout

    def test_clean(self):
        self.put("a.md", "a word\n")
        self.assertIn(" 0 failed", self.findings())

    def test_machine_path(self):
        self.put("a.sh", "cp x /ro" "ot/.cache/y\n")
        self.assertIn("a.sh:1: names a path of one machine", self.findings())

    def test_registry(self):
        self.put("a.sh", "pip --index" "-url=x\n")
        self.assertIn("a.sh:1: names a package registry", self.findings())

    def test_sizes(self):
        self.put("a.h", "\n" * 300)
        self.put("b.h", "\n" * 301)
        self.put("c.cc", "\n" * 701)
        out = self.findings()
        self.assertNotIn("a.h:", out)
        self.assertIn("b.h:0: 301 lines", out)
        self.assertIn("c.cc:0: 701 lines", out)

    def test_script_without_execute_bit(self):
        self.put("a.sh", "#!/bin/sh\n")
        self.assertIn("a.sh:1: has a #! line", self.findings())

    def test_trailing_blanks_and_last_newline(self):
        self.put("a.py", "x = 1 \ny = 2")
        out = self.findings()
        self.assertIn("a.py:1: trailing blanks", out)
        self.assertIn("a.py:2: no newline", out)


class Counting(Scratch):
    def totals(self, *suites):
        result = run(TOOLS / "run-suites", *suites)
        return result.returncode, result.stdout.strip().splitlines()[-1]

    def suite(self, name, body):
        return self.put(name, "#!/bin/sh\n" + body + "\n", 0o755)

    def test_sum(self):
        self.assertEqual(self.totals(self.suite("a", "echo 3 passed, 0 failed"), self.suite("b", "echo 2 passed, 0 failed, 1 skipped")),
                         (0, "5 passed, 0 failed, 1 skipped"))

    def test_failure_is_summed_and_fails(self):
        self.assertEqual(self.totals(self.suite("a", "echo 3 passed, 2 failed; exit 1")), (1, "3 passed, 2 failed"))

    def test_crash_counts(self):
        self.assertEqual(self.totals(self.suite("a", "echo 3 passed, 0 failed; exit 7")), (1, "3 passed, 1 failed"))
        self.assertEqual(self.totals(self.suite("a", "echo started")), (1, "0 passed, 1 failed"))

    def test_a_suite_beside_others_counts_too(self):
        there = self.root / "there"
        waits = self.suite("a", f"for i in $(seq 600); do [ ! -e {there} ] || break; sleep 0.1; done; test -e {there} && echo 1 passed, 0 failed")
        makes = self.suite("b", f"touch {there}; echo 2 passed, 0 failed")
        self.assertEqual(self.totals(f"{waits} &", makes), (0, "3 passed, 0 failed"))
        self.assertEqual(self.totals(f"{self.suite('c', 'exit 1')} &", makes), (1, "2 passed, 1 failed"))
        self.assertEqual(self.totals(f"{self.root / 'missing'} &", makes), (1, "2 passed, 1 failed"))

    def test_nothing_run_fails(self):
        self.assertEqual(self.totals(self.suite("a", "echo 0 passed, 0 failed")), (1, "0 passed, 1 failed"))
        self.assertEqual(self.totals()[0], 1)

    def test_seconds(self):
        self.assertEqual(run(TOOLS / "seconds", "5m").stdout, "300\n")
        self.assertNotEqual(run(TOOLS / "seconds", "5").returncode, 0)


if __name__ == "__main__":
    program = unittest.main(exit=False, verbosity=1)
    failed = len(program.result.failures) + len(program.result.errors)
    sys.stderr.flush()
    print(f"{program.result.testsRun - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)
