//! The machine of a Windows guest, without Windows: its whole command line starts, and its firmware finds every device
//! where it is said to be.

use super::{Kind, PERIOD, Scenario};
use crate::build::Built;
use crate::kdnet::BusParams;
use crate::machine::{self, Accelerator, Windows, names, place};
use crate::places;
use crate::process::Folder;
use crate::qmp::{PciFunction, Qmp};
use crate::session::{LIMIT, accept, listen, start_device};
use crate::settings::{Files, GuestKind, Settings};
use anyhow::{Context, Result, ensure};
use cancelnic_registers::{ID, ID_OFFSET};
use std::process::Command;
use std::thread;
use std::time::Instant;

/// Where virtio's device configuration is in the fifth region of QEMU's device (register 4), 16 KiB in size.
const DEVICE_CONFIG: u64 = 0x2000;
const DEVICE_REGION: u64 = 0x4000;

/// Starts the machine with all it can have, and waits until its firmware has put every device to work.
fn answers(built: &Built) -> Result<()> {
    let accelerator = Accelerator::chosen_or("tcg");
    accelerator.check()?;
    let folder = Folder::new()?;
    let path = |name: &str| folder.path().join(name);
    let firmware = places::ovmf()?;
    let kdnet: BusParams = "0.2.0".parse().map_err(anyhow::Error::msg)?;
    let (vars, disk, disc) = (path("vars.fd"), path("disk.qcow2"), path("disc.iso"));
    std::fs::copy(&firmware.vars, &vars)?;
    // An empty disk and an empty disc: the firmware looks at both and finds nothing to start.
    std::fs::write(&disc, vec![0; 1 << 20])?;
    let made = Command::new(places::qemu_img()?)
        .args(["create", "-q", "-f", "qcow2"])
        .arg(&disk)
        .arg("64M")
        .status()?;
    ensure!(made.success(), "qemu-img makes no disk: {made}");
    let machine = Windows {
        folder: folder.path(),
        firmware: &firmware,
        vars: &vars,
        disk: &disk,
        discs: &[disc],
        memory: Windows::MEMORY,
        processors: Windows::PROCESSORS,
        accelerator,
        nic: Some(1024),
        debug_nic: Some(kdnet.place()),
        debug_port: None,
        gdb: true,
    };
    let (agent, monitor) = (listen(&path(names::AGENT))?, listen(&path(names::MONITOR))?);
    let settings = Settings::new(Files::shipped(GuestKind::Understudy, built));
    let (_device, _control) = start_device(&folder, &settings)?;
    let mut qemu = machine::start(&places::qemu()?, &machine.arguments(), folder.path())?;
    let _agent = accept(&agent, &mut qemu)?;
    let mut monitor = Qmp::new(accept(&monitor, &mut qemu)?)?;

    let expected = [
        (place::VGA, (0x1234, 0x1111)),
        (kdnet.place(), (0x8086, 0x10d3)),
        (place::USB, (0x1b36, 0x000d)),
        (place::NIC, (0x1af4, 0x1041)),
        (place::AHCI, (0x8086, 0x2922)),
    ];
    let deadline = Instant::now() + 3 * LIMIT;
    loop {
        let functions = monitor.pci()?;
        let there = |(place, id)| {
            let is_it = |function: &&PciFunction| function.place == place && function.id == id;
            functions.iter().find(is_it).is_some_and(|function| !function.memory.is_empty())
        };
        let id = nic_id(&mut monitor, &functions, &folder)?;
        if expected.into_iter().all(there) && id == Some(ID) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "wanted at work: {expected:x?}; there is {functions:x?}; the NIC's ID register reads {id:x?}"
        );
        ensure!(qemu.status().is_none(), "{}", qemu.epitaph());
        thread::park_timeout(PERIOD);
    }
}

/// The NIC's ID register, read as the guest would: through QEMU, by the device process. The firmware switches regions
/// off again while it measures them; there is nothing to read then.
fn nic_id(monitor: &mut Qmp, functions: &[PciFunction], folder: &Folder) -> Result<Option<u32>> {
    let nic = functions.iter().find(|function| function.place == place::NIC).context("no NIC")?;
    let Some(region) = nic.memory.iter().find(|region| region.1 == DEVICE_REGION) else { return Ok(None) };
    let file = folder.path().join("id");
    monitor.save_physical(region.0 + DEVICE_CONFIG + ID_OFFSET as u64, 4, &file)?;
    let bytes = std::fs::read(&file)?;
    Ok(bytes.as_slice().try_into().ok().map(u32::from_le_bytes))
}

pub fn all() -> Vec<Scenario> {
    vec![Scenario { name: "windows-machine-answers-at-every-address", kind: Kind::Command(answers) }]
}
