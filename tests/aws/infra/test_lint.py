"""The linters have nothing to say, and where they were told to be silent there is a reason."""

import json

from template import Template

OURS = [
    "finops-credits.yaml", "endpoints.yaml", "export.yaml", "quicksight.yaml", "image.yaml", "install.yaml",
    "business-unit.yaml", "web.yaml",
]


def test_cfn_lint_accepts_every_template_of_the_release(release, tool, tmp_path):
    # It looks into a state machine only where that is JSON before its numbers are filled in.
    main = (release / "finops-credits.yaml").read_text()
    assert main.count('"MaxConcurrency": ${MaxTasks}') == 1
    (tmp_path / "filled.yaml").write_text(main.replace('"MaxConcurrency": ${MaxTasks}', '"MaxConcurrency": 2'))
    templates = [*release.glob("*.yaml"), tmp_path / "filled.yaml"]
    code, printed = tool("cfn-lint", "--non-zero-exit-code", "informational", *templates)
    assert code == 0, printed


def checkov(tool, files):
    """Failed checks with their resources."""
    arguments = [argument for file in files for argument in ("-f", file)]
    code, printed = tool("checkov", "--skip-download", "--framework", "cloudformation", "-o", "json", *arguments)
    report = json.loads(printed)
    assert report["summary"]["passed"] > 100 and report["summary"]["parsing_errors"] == 0
    failed = {(it["check_id"], it["resource"].split(".")[-1]) for it in report["results"]["failed_checks"]}
    assert code == (1 if failed else 0)
    return failed


def test_checkov_passes(release, tool):
    assert checkov(tool, [release / name for name in OURS]) == set()


def test_every_suppression_has_its_reason_and_is_needed(release, tool, tmp_path):
    declared = set()
    for name in OURS:
        for id, it in Template(release / name).raw["Resources"].items():
            for skip in it.get("Metadata", {}).get("checkov", {}).get("skip", []):
                declared.add((skip["id"], id))
                assert len(skip["comment"].split()) >= 5, skip
        without = (release / name).read_text().replace("      checkov:\n", "      not-checkov:\n")
        (tmp_path / name).write_text(without)
    assert checkov(tool, [tmp_path / name for name in OURS]) == declared


def test_shell_scripts_have_no_findings(root, tool):
    code, printed = tool("shellcheck", "--severity", "style", *sorted((root / "scripts").glob("*.sh")))
    assert code == 0, printed


def test_dockerfile_has_no_findings(root, tool):
    code, printed = tool("hadolint", root / "infra/Dockerfile")
    assert code == 0, printed
    checked, report = tool(
        "checkov", "--skip-download", "--framework", "dockerfile", "--compact", "-f", root / "infra/Dockerfile")
    assert checked == 0 and "Failed checks: 0" in report, report
