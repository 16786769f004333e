//! What a scenario needs of the drivers that are judged, and of their device.

use lab::base::files::{DriverFiles, NIC, Subject};
use lab::machine::Hardware;
use std::fmt;
use understudy_rules::inf::Kind;

/// What a scenario can need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// cancelnic's device: gates, a judge, frames that are taken back.
    Cancelnic,
    /// A wire whose other end the rig holds, beside a device that is not cancelnic's.
    Wire,
    /// A package that is a network adapter.
    Nic,
    /// A package with a device, on the bus or root-enumerated.
    Device,
    /// A package that is an NDIS filter.
    Filter,
    /// cancelnic-lwf among the drivers.
    OurFilter,
}

/// What those need that concern any driver of cancelnic's device.
pub(crate) const OF_ANY_DRIVER: &[Want] = &[Want::Cancelnic, Want::Nic];

/// What those need that use our filter beside it.
pub(crate) const WITH_OUR_FILTER: &[Want] = &[Want::Cancelnic, Want::Nic, Want::OurFilter];

/// The drivers of a run, as far as scenarios ask, and their device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    subjects: Vec<Subject>,
    has_our_filter: bool,
    hardware: Hardware,
}

impl Cast {
    /// Ours, or another project's in the place of the NIC's.
    pub fn ours() -> Self {
        let subject = |service: &str, kind, net| Subject { service: service.into(), kind, net };
        let filter = subject(OUR_FILTER, Kind::Filter, false);
        let relay = subject("cancelnic-relay", Kind::Root, false);
        let subjects = vec![subject(NIC, Kind::Pci, true), filter, relay];
        Self { subjects, has_our_filter: true, hardware: Hardware::Cancelnic }
    }

    /// Packages, with those of ours that are named, on that device.
    pub fn of(packages: &[DriverFiles], with: &[String], hardware: &Hardware) -> Self {
        Self {
            subjects: packages.iter().filter_map(|driver| driver.subject.clone()).collect(),
            has_our_filter: with.iter().any(|name| name == OUR_FILTER),
            hardware: hardware.clone(),
        }
    }
}

/// The name of our filter.
const OUR_FILTER: &str = "cancelnic-lwf";

impl Want {
    /// Whether these have it.
    pub(crate) fn is_met(self, cast: &Cast) -> bool {
        let any = |test: fn(&Subject) -> bool| cast.subjects.iter().any(test);
        match self {
            Self::Cancelnic => cast.hardware.is_ours(),
            Self::Wire => cast.hardware.has_wire(),
            Self::Nic => any(|subject| subject.net),
            Self::Device => any(Subject::has_device),
            Self::Filter => any(|subject| subject.kind == Kind::Filter),
            Self::OurFilter => cast.has_our_filter,
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelnic => "cancelnic's device: gates, a judge, frames that are taken back",
            Self::Wire => "a network card of QEMU's, whose wire the rig holds",
            Self::Nic => "a package of class Net: a data path",
            Self::Device => "a package with a device",
            Self::Filter => "a package that is an NDIS filter",
            Self::OurFilter => "cancelnic-lwf, which --with adds",
        })
    }
}
