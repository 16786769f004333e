//! The results as JUnit XML, for the programs that show test results.
//!
//! `message` is the cause in one line, which is what such programs show as a headline; the description is the whole
//! account. The output names the files of the evidence as `[[ATTACHMENT|path]]`, which Jenkins and GitLab make links of.

use super::outcome::{End, Failure, Outcome};
use anyhow::{Context, Result};
use lab::base::evidence::{files_below, write_whole};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};
use std::path::Path;

/// Writes the file; a reader sees the old one or the new one, and never a part.
pub(super) fn write(path: &Path, outcomes: &[Outcome]) -> Result<()> {
    let mut outcomes: Vec<_> = outcomes.iter().collect();
    outcomes.sort_by_key(|outcome| outcome.name);
    let mut suite = TestSuite::new("cargo rig test");
    for outcome in outcomes {
        suite.add_test_case(case(outcome));
    }
    let mut report = Report::new("cancelnic");
    report.add_test_suite(suite);
    let text = report.to_string().context("cannot write the results as JUnit")?;
    write_whole(path, text.as_bytes())
}

fn case(outcome: &Outcome) -> TestCase {
    let mut status = match &outcome.end {
        End::Good => TestCaseStatus::success(),
        End::Bad(failure) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(failure.cause.as_str());
            status.set_description(failure.account.as_str());
            status
        }
        End::Skipped(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why.as_str());
            status
        }
    };
    status.add_reruns(outcome.earlier.iter().map(rerun));
    let mut case = TestCase::new(outcome.name, status);
    case.set_classname("scenario");
    case.set_time(outcome.took);
    if let Some(folder) = &outcome.folder {
        let files = files_below(folder);
        let lines: Vec<_> = files.iter().map(|file| format!("[[ATTACHMENT|{}]]\n", file.display())).collect();
        case.set_system_out(lines.concat());
    }
    case
}

fn rerun(failure: &Failure) -> TestRerun {
    let mut rerun = TestRerun::new(NonSuccessKind::Failure);
    rerun.set_message(failure.cause.as_str());
    rerun.set_description(failure.account.as_str());
    rerun.set_time(failure.took);
    rerun
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::tests::{bad, outcome};

    #[test]
    fn failures_and_skipped_scenarios_are_in_the_file_and_a_failures_message_is_its_cause() {
        let folder = tempfile::tempdir().unwrap();
        let evidence = folder.path().join("bad-one");
        std::fs::create_dir(&evidence).unwrap();
        for name in ["guest.log", "report.html"] {
            std::fs::write(evidence.join(name), "").unwrap();
        }
        let mut outcomes = vec![
            outcome("good-one", End::Good),
            outcome("bad-one", End::Bad(bad("QueueNotDrained in tx0 EvtCancel (54 kept)"))),
            outcome("no-one", End::Skipped("gdb is not installed".into())),
            outcome("flaky-one", End::Good),
        ];
        outcomes[1].folder = Some(evidence.clone());
        outcomes[3].earlier.push(bad("no answer"));
        let file = folder.path().join("junit.xml");
        write(&file, &outcomes).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("tests=\"4\"") && text.contains("failures=\"1\""), "{text}");
        assert!(text.contains("<failure message=\"QueueNotDrained in tx0 EvtCancel (54 kept)\""), "{text}");
        assert!(text.contains("again: cargo rig test"), "{text}");
        assert!(text.contains("<skipped message=\"gdb is not installed\""), "{text}");
        assert!(text.contains("<flakyFailure") && text.contains("message=\"no answer\""), "{text}");
        let page = format!("[[ATTACHMENT|{}]]", evidence.join("report.html").display());
        let log = format!("[[ATTACHMENT|{}]]", evidence.join("guest.log").display());
        let [page, log] = [page, log].map(|line| text.find(&line).expect("an attachment"));
        assert!(page < log, "the page comes first");
    }
}
