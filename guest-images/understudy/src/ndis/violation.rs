//! The end of a run that broke one of NDIS's rules: which bug check has the rule.

use crate::ke::Irql;
use crate::verifier::{BugCheck, trace};
use alloc::{format, string::String};
use understudy_rules::ndis::ledger::Broken;

/// Rules of the NDIS verifier, by the first parameter of its bug check.
const VERIFIED: [(&str, u64); 5] = [
    ("NdisOidDoubleComplete", 0x91002),
    ("NdisTimedOidComplete", 0x92003),
    ("NdisFilterTimedPauseComplete", 0x92010),
    ("NdisTimedDataSend", 0x9200D),
    ("NdisFilterTimedDataReceive", 0x92012),
];
/// Rules of NDIS itself, by the first parameter of its bug check.
const CHECKED: [(&str, u64); 6] = [
    ("WaitEventAtHighIrql", 0x14),
    ("OidBytesOutsideBuffer", 0x1D),
    ("PauseCompleteWithoutPause", 0x1F),
    ("InvalidObjectHeader", 0x21),
    ("InvalidOidCompletion", 0x26),
    ("NetBufferListLeaked", 0x27),
];
/// Rules of Static Driver Verifier, which has no bug check.
const STATIC: [&str; 10] = [
    "Irql_Filter_Driver_Function",
    "Irql_SendRcv_Function",
    "Irql_NetBuffer_Function",
    "Irql_OID_Function",
    "Irql_StatusIndication_Function",
    "Irql_Miscellaneous_Function",
    "Flags_Irql",
    "NdisFDeregisterFilterDriver",
    "NdisAllocateMdl",
    "NdisAllocateMemoryWithTagPriority",
];

/// Stops for a broken rule.
pub(super) fn stop(rule: &'static str, place: String) -> ! {
    let (code, first) = bug_check(rule);
    trace::stop(code, [first, 0, 0, 0], rule, place)
}

/// Stops or warns for a broken rule that a run can go on after.
pub(super) fn judge(rule: &'static str, place: String) {
    let (code, first) = bug_check(rule);
    trace::judge(code, [first, 0, 0, 0], rule, place);
}

/// The bug check of a rule and its first parameter.
fn bug_check(rule: &str) -> (BugCheck, u64) {
    let parameter = |table: &[(&str, u64)]| table.iter().find(|(name, _)| *name == rule).map(|found| found.1);
    match (parameter(&VERIFIED), parameter(&CHECKED)) {
        (Some(first), _) => (BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION, first),
        (_, Some(first)) => (BugCheck::BUGCODE_NDIS_DRIVER, first),
        _ if STATIC.contains(&rule) => (BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION, 0),
        _ => (BugCheck::BUGCODE_NDIS_DRIVER, 0),
    }
}

/// The value, or the end.
pub(super) fn checked<T>(result: Result<T, Broken>) -> T {
    result.unwrap_or_else(|Broken { rule, place }| stop(rule, place))
}

/// Stops unless the IRQL is at most `most`.
pub(super) fn require_irql(rule: &'static str, function: &str, most: Irql) {
    let now = crate::ke::irql();
    if now > most {
        stop(rule, format!("{function} at IRQL {now}, allowed up to {most}"));
    }
}

/// Stops if a DISPATCH_LEVEL flag was given below that level.
pub(super) fn require_flag(function: &str, flags: u32) {
    let now = crate::ke::irql();
    if flags & 1 != 0 && now != Irql::DISPATCH {
        judge("Flags_Irql", format!("{function} with the DISPATCH_LEVEL flag at IRQL {now}"));
    }
}
