//! A run's files go into its evidence.

use crate::base::evidence::Evidence;
use crate::facts::Facts;
use crate::report;
use crate::session::Session;
use agent_protocol::Violation;

/// Keeps the files of a run that was judged; page and JSON are written once they are known to be wanted. Of this session
/// nothing else is kept for this place.
pub fn archive(evidence: &Evidence, session: &mut Session, facts: &Facts, violations: &[Violation]) {
    session.keep_for(None);
    let (facts, violations) = (facts.clone(), violations.to_vec());
    evidence.complete(session.folder(), move |folder| report::leave(folder, &facts, &violations));
}
