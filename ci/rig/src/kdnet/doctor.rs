//! What the datagrams that arrive say about the target's set-up, and what to mend. No socket, no clock.

use super::datagram::{Channel, Malformed, POKE_LENGTH, Poke, Sealed};
use super::setup::Setup;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Versions that public programs have met.
const KNOWN_VERSIONS: [u8; 2] = [2, 5];
/// Pokes with the right key after which all is known: the second shows that they go on.
const ENOUGH_GOOD: u32 = 2;
/// Datagrams with a wrong tag after which that is known.
const ENOUGH_WRONG: u32 = 3;

/// What one datagram was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heard {
    /// A target calls; it has no debugger.
    Poke {
        /// The protocol's version.
        version: u8,
    },
    /// A target calls; it has a debugger at this port.
    Bound {
        /// The protocol's version.
        version: u8,
        /// The debugger's port.
        port: u16,
    },
    /// The datagram before, once more.
    Repeat,
    /// Made with another key, or changed on the way.
    WrongTag {
        /// The protocol's version.
        version: u8,
    },
    /// The right key, and the way a debugger marks its own.
    FromDebugger,
    /// The right key, and no poke.
    NoPoke,
    /// A target talks to a debugger that it believes to be here.
    Data {
        /// The protocol's version.
        version: u8,
    },
    /// A channel that nobody has described.
    OtherChannel(u8),
    /// No kdnet datagram, or a damaged one.
    Malformed(Flaw),
}

/// [`Malformed`] without the lengths, which say nothing about the set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flaw {
    /// Of something else.
    Foreign,
    /// Cut or changed.
    Damaged,
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poke { version } => {
                write!(f, "a poke, version {version}, the key verifies, no debugger yet")
            }
            Self::Bound { version, port } => {
                write!(f, "a poke, version {version}, the key verifies, bound to a debugger at port {port}")
            }
            Self::Repeat => f.write_str("the last datagram once more"),
            Self::WrongTag { version } => write!(f, "version {version}, the key does not verify"),
            Self::FromDebugger => f.write_str("a datagram of a debugger, not of a target"),
            Self::NoPoke => f.write_str("on the control channel, the key verifies, but it is no poke"),
            Self::Data { version } => write!(f, "version {version}, on the data channel"),
            Self::OtherChannel(channel) => write!(f, "channel {channel}, which is not known"),
            Self::Malformed(Flaw::Foreign) => f.write_str("no kdnet datagram"),
            Self::Malformed(Flaw::Damaged) => f.write_str("a damaged kdnet datagram"),
        }
    }
}

/// A machine that has the key.
#[derive(Debug, Default)]
struct Target {
    pokes: u32,
    versions: BTreeSet<u8>,
    repeats: u32,
    /// Pokes of another session key than the one before.
    restarts: u32,
    last: Option<(u64, Poke)>,
}

/// What has been heard up to now.
#[derive(Debug)]
pub(super) struct Doctor {
    setup: Setup,
    targets: BTreeMap<IpAddr, Target>,
    /// By sender, how often.
    strange: BTreeMap<(SocketAddr, Heard), u32>,
    heard: u32,
}

/// One line of the diagnosis, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Nothing to mend.
    pub good: bool,
    /// What is so.
    pub what: String,
    /// What to type or do, a line each.
    pub mend: Vec<String>,
}

impl Finding {
    fn good(what: String) -> Self {
        Self { good: true, what, mend: Vec::new() }
    }

    fn bad(what: String, mend: impl IntoIterator<Item = String>) -> Self {
        Self { good: false, what, mend: mend.into_iter().collect() }
    }
}

impl Doctor {
    /// Nothing heard yet.
    #[must_use]
    pub(super) fn new(setup: Setup) -> Self {
        Self { setup, targets: BTreeMap::new(), strange: BTreeMap::new(), heard: 0 }
    }

    /// Takes a datagram in.
    pub(super) fn hear(&mut self, from: SocketAddr, bytes: &[u8]) -> Heard {
        self.heard += 1;
        let heard = self.judge(from, bytes);
        if !matches!(heard, Heard::Poke { .. } | Heard::Bound { .. } | Heard::Repeat) {
            *self.strange.entry((from, heard)).or_default() += 1;
        }
        heard
    }

    fn judge(&mut self, from: SocketAddr, bytes: &[u8]) -> Heard {
        let sealed = match Sealed::parse(bytes) {
            Ok(sealed) => sealed,
            Err(Malformed::Foreign) => return Heard::Malformed(Flaw::Foreign),
            Err(Malformed::Truncated(_) | Malformed::PartOfBlock(_)) => {
                return Heard::Malformed(Flaw::Damaged);
            }
        };
        let version = sealed.version();
        match sealed.channel() {
            Channel::Data => return Heard::Data { version },
            Channel::Other(channel) => return Heard::OtherChannel(channel),
            Channel::Control => {}
        }
        let Some(opened) = sealed.open(&self.setup.key) else { return Heard::WrongTag { version } };
        if opened.from_debugger {
            return Heard::FromDebugger;
        }
        let Some(poke) = opened.poke() else { return Heard::NoPoke };
        let target = self.targets.entry(from.ip()).or_default();
        target.versions.insert(version);
        match target.last.replace((opened.sequence, poke)) {
            Some(before) if before == (opened.sequence, poke) => {
                target.repeats += 1;
                return Heard::Repeat;
            }
            Some((_, before)) if before.session() != poke.session() => target.restarts += 1,
            _ => {}
        }
        target.pokes += 1;
        match poke.host_port {
            0 => Heard::Poke { version },
            port => Heard::Bound { version, port },
        }
    }

    /// Nothing that may still come would change the diagnosis much.
    #[must_use]
    pub(super) fn knows_enough(&self) -> bool {
        let wrong: u32 = self.count(|heard| matches!(heard, Heard::WrongTag { .. }));
        self.targets.values().any(|target| target.pokes >= ENOUGH_GOOD) || wrong >= ENOUGH_WRONG
    }

    fn count(&self, which: impl Fn(&Heard) -> bool) -> u32 {
        self.strange.iter().filter(|((_, heard), _)| which(heard)).map(|(_, count)| count).sum()
    }

    fn senders(&self, which: impl Fn(&Heard) -> bool) -> String {
        let senders: BTreeSet<_> =
            self.strange.keys().filter(|(_, heard)| which(heard)).map(|(from, _)| from.to_string()).collect();
        senders.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// What is known, the most important first. A debugger can attach if every line is good.
    #[must_use]
    pub(super) fn diagnosis(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (from, target) in &self.targets {
            findings.extend(target.findings(*from));
        }
        if self.targets.len() > 1 {
            findings.push(Finding::bad(
                format!("{} machines call at port {} with the same key", self.targets.len(), self.setup.port),
                ["give each target a port of its own: the debugger takes whichever calls first".to_owned()],
            ));
        }
        self.judge_tags(&mut findings);
        self.judge_data(&mut findings);
        if self.targets.is_empty() {
            self.judge_the_rest(&mut findings);
        }
        if self.heard == 0 {
            findings.push(self.silence());
        }
        findings
    }

    fn judge_tags(&self, findings: &mut Vec<Finding>) {
        let wrong = |heard: &Heard| matches!(heard, Heard::WrongTag { .. });
        if self.count(wrong) == 0 {
            return;
        }
        let versions: BTreeSet<u8> = self
            .strange
            .keys()
            .filter_map(|(_, heard)| match heard {
                Heard::WrongTag { version } => Some(*version),
                _ => None,
            })
            .collect();
        let what = format!(
            "{} calls (version {}) with another key; tags that do not verify: {}",
            self.senders(wrong),
            list(&versions),
            self.count(wrong)
        );
        let mut mend = vec![
            format!("see the target's key, there, as administrator: {}", Setup::SHOW),
            format!(
                "give this command that key (--key), or the target this one: {}",
                self.setup.dbgsettings()
            ),
            Setup::COLD_BOOT.to_owned(),
        ];
        if versions.iter().any(|version| !KNOWN_VERSIONS.contains(version)) {
            mend.push("or this version makes its tag in another way: try the debugger itself".to_owned());
        }
        findings.push(Finding::bad(what, mend));
    }

    fn judge_data(&self, findings: &mut Vec<Finding>) {
        let data = |heard: &Heard| matches!(heard, Heard::Data { .. });
        if self.count(data) == 0 {
            return;
        }
        let what = format!(
            "{} sends {} datagrams on the data channel: it is in a session with a debugger that was here",
            self.senders(data),
            self.count(data)
        );
        // Harmless where pokes come as well: the next debugger begins a session of its own.
        if self.targets.is_empty() {
            findings.push(Finding::bad(what, ["restart the target: shutdown /r /t 0".to_owned()]));
        } else {
            findings.push(Finding::good(what));
        }
    }

    /// What is worth a word only if no target was understood.
    fn judge_the_rest(&self, findings: &mut Vec<Finding>) {
        let kinds = [
            (Heard::FromDebugger, "stop the other debugger, or let it listen where this one does not send"),
            (Heard::NoPoke, "update the rig: this target's kdnet speaks in a way that it does not know"),
            (
                Heard::Malformed(Flaw::Damaged),
                "look for what cuts datagrams on the way (a small MTU, a relay), and set: --port to another",
            ),
            (
                Heard::Malformed(Flaw::Foreign),
                "another program sends to this port: take another one, here (--port) and on the target",
            ),
        ];
        for (kind, mend) in kinds {
            let same = |heard: &Heard| *heard == kind;
            if self.count(same) != 0 {
                let what = format!("{}: {kind} ({} of them)", self.senders(same), self.count(same));
                findings.push(Finding::bad(what, [mend.to_owned()]));
            }
        }
        let other = |heard: &Heard| matches!(heard, Heard::OtherChannel(_));
        if self.count(other) != 0 {
            let what = format!("{}: datagrams on channels that are not known", self.senders(other));
            findings.push(Finding::bad(
                what,
                ["update the rig: this target's kdnet speaks in a way that it does not know".to_owned()],
            ));
        }
    }

    fn silence(&self) -> Finding {
        let Setup { port, busparams, host_ip, .. } = &self.setup;
        Finding::bad(
            format!("no datagram at all arrived at UDP port {port}; a target calls about every 3 s"),
            [
                format!("is it set up? On the target, as administrator: {}", Setup::SHOW),
                format!("   it must say NET, hostip {host_ip}, port {port}, busparams {busparams}; else:"),
                format!("   {}", Setup::DEBUG_ON),
                format!("   {}", self.setup.dbgsettings()),
                format!("   {}", self.setup.set_busparams()),
                "is Secure Boot off? On the target: powershell Confirm-SecureBootUEFI".to_owned(),
                "does kdnet take Hyper-V's path? Start QEMU with -cpu ...,hv-vendor-id=KVMKVMKVM and without \
                 hv-passthrough"
                    .to_owned(),
                "has QEMU's network a way out? The e1000e's -netdev user must be without restrict=on".to_owned(),
                format!("does a firewall drop it here? Linux: ufw allow {port}/udp; Windows: {}", self.setup.firewall()),
                Setup::COLD_BOOT.to_owned(),
            ],
        )
    }
}

impl Target {
    fn findings(&self, from: IpAddr) -> Vec<Finding> {
        let mut findings = vec![Finding::good(format!(
            "{from} calls: {} {}, version {}, the key verifies",
            self.pokes,
            if self.pokes == 1 { "poke" } else { "pokes" },
            list(&self.versions)
        ))];
        if self.versions.iter().any(|version| !KNOWN_VERSIONS.contains(version)) {
            findings.push(Finding::good(format!(
                "version {} is new to this command (it knows {}); its tag is as in the others",
                list(&self.versions),
                list(&KNOWN_VERSIONS.into())
            )));
        }
        if self.repeats != 0 {
            findings.push(Finding::good(format!(
                "{} of its datagrams came twice: something on the way doubles them; debuggers drop the second",
                self.repeats
            )));
        }
        if self.restarts != 0 {
            findings.push(Finding::good(format!(
                "its half of the session key changed {} time(s): it restarted",
                self.restarts
            )));
        }
        if let Some((_, poke)) = self.last {
            if poke.host_port != 0 {
                findings.push(Finding::good(format!(
                    "it still holds a data channel to a debugger at port {}; if the next one does not get through, \
                     restart the target: shutdown /r /t 0",
                    poke.host_port
                )));
            }
            if poke.length != POKE_LENGTH {
                findings.push(Finding::good(format!(
                    "its pokes hold {} bytes, not the {POKE_LENGTH} of other targets",
                    poke.length
                )));
            }
        }
        findings
    }
}

fn list(versions: &BTreeSet<u8>) -> String {
    versions.iter().map(u8::to_string).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests;
