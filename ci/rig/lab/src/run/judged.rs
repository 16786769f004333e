//! A whole run and its judgement.

use super::{Guest, Run, archive};
use crate::facts::Facts;
use crate::guest::need::Need;
use crate::session::pool::Pool;
use crate::settings::Settings;
use crate::verdict::judge;
use agent_protocol::Violation;
use anyhow::{Context as _, Result};
use std::sync::Arc;

/// The guest has refused something that the scenario needs.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotRun(pub String);

/// A run and what is thought of it.
pub struct Judged {
    /// What it has shown.
    pub facts: Facts,
    /// What was wrong with it, the cause first.
    pub violations: Vec<Violation>,
    /// The end of the guest's log.
    pub log: String,
    /// What was asked of the guest.
    pub needed: Vec<Need>,
}

/// One run and its judgement.
///
/// # Errors
/// [`CannotRun`], or whatever kept the run from taking place.
pub fn judged(
    settings: Settings,
    guest: &Arc<dyn Guest>,
    pool: Option<&Arc<Pool>>,
    body: fn(&mut Run) -> Result<()>,
) -> Result<Judged> {
    let mut run = Run::start(settings.clone(), Arc::clone(guest), pool.cloned(), Box::new(|_| ()))?;
    let outcome = body(&mut run);
    let (facts, mut session) = run.finish(outcome);
    if let Some(refused) = &facts.refused {
        session.keep_for(None);
        return Err(CannotRun(refused.clone()).into());
    }
    let log = std::fs::read(session.guest_log()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let tail: Vec<&str> = log.lines().rev().take(12).collect();
    let log = session.symbols.explain(&tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
    let violations = judge(&facts);
    if let Some(evidence) = &settings.evidence {
        archive(evidence, &mut session, &facts, &violations);
    }
    if let Some(machines) = pool.filter(|_| violations.is_empty()) {
        machines.keep(&settings, session).context("the machine after a good run")?;
    }
    let needed = facts.needed.iter().copied().collect();
    Ok(Judged { facts, violations, log, needed })
}
