//! What a scenario does with the stack above the NIC: cancellation by ID, the overlying driver, the filter, devices.

use super::{Lives, Pending, Run, Violation};
use crate::base::files::NIC;
use agent_protocol::Command;
use anyhow::Result;

/// An order that has been given and not been waited for.
#[derive(Debug)]
#[must_use = "an order has to be finished"]
pub struct Ordered(Pending);

impl Run {
    /// Hands `count` frames of 60 bytes to the sender, each list marked with the cancellation ID.
    pub fn send_marked(&mut self, count: u32, cancel_id: u64) -> Result<()> {
        self.give(count, 60, 1, cancel_id)
    }

    /// Numbers for `count` frames that the filter makes by itself, first to last.
    pub fn take_numbers_for_filter(&mut self, count: u32) -> (u64, u64) {
        let numbers = self.take_numbers(count);
        self.facts.originated.0.push(numbers);
        numbers
    }

    /// The overlying driver cancels its sends by ID.
    pub fn cancel_send(&mut self, cancel_id: u64) -> Result<()> {
        self.order(format!("cancel the sends with ID {cancel_id:#x}"), Command::CancelSend { cancel_id })
    }

    /// The overlying driver unbinds.
    pub fn unbind(&mut self) -> Result<()> {
        self.order("the protocol unbinds", Command::Unbind)
    }

    /// The overlying driver binds again.
    pub fn bind(&mut self) -> Result<()> {
        self.order("the protocol binds", Command::Bind)
    }

    /// Takes the filter module out of the stack.
    pub fn detach_filter(&mut self) -> Result<()> {
        self.order("detach the filter", Command::DetachFilter)
    }

    /// Puts the filter module into the stack.
    pub fn attach_filter(&mut self) -> Result<()> {
        self.order("attach the filter", Command::AttachFilter)
    }

    /// Takes the device of a service to D0 or D3.
    pub fn power(&mut self, service: &str, on: bool) -> Result<()> {
        let state = if on { "D0" } else { "D3" };
        self.order(format!("{service} goes to {state}"), Command::Power { service: service.into(), on })
    }

    /// Takes the device of a service to D3 and back. A data path goes down and comes up with it.
    pub fn power_cycle(&mut self, service: &str) -> Result<()> {
        self.sleep_of(service)?;
        self.power(service, true)?;
        self.up()
    }

    /// Takes the device of a service to D3, and a data path down with it.
    pub fn sleep_of(&mut self, service: &str) -> Result<()> {
        self.down()?;
        self.power(service, false)?;
        self.ended_lives.push(self.session.agent.heard());
        Ok(())
    }

    /// Removes the device of a service and unloads its driver.
    pub fn remove(&mut self, service: &str, surprise: bool) -> Result<()> {
        let how = if surprise { "surprise removal" } else { "removal" };
        self.order(format!("{how} of {service}"), Command::Remove { service: service.into(), surprise })
    }

    /// Removes the NIC's device and unloads its driver, while the other drivers stay.
    pub fn remove_nic(&mut self, surprise: bool) -> Result<()> {
        self.down()?;
        self.ended_lives.push(self.session.agent.heard());
        self.remove(NIC, surprise)
    }

    /// Pulls the NIC out and does not wait for the end.
    pub fn begin_surprise_removal_of_nic(&mut self) -> Result<Ordered> {
        self.down()?;
        self.ended_lives.push(self.session.agent.heard());
        let command = Command::Remove { service: NIC.into(), surprise: true };
        self.begin_order(format!("surprise removal of {NIC}"), command)
    }

    /// Waits until the NIC is removed.
    pub fn finish_removal_of_nic(&mut self, removing: &Ordered) -> Result<()> {
        self.finish_order("the NIC is removed", removing)
    }

    /// Holds the guest's framework at a named window.
    pub fn hold_window(&mut self, window: &str) -> Result<()> {
        self.order(format!("hold {window}"), Command::Hold { window: window.into() })
    }

    /// Lets whoever waits at a window go on.
    pub fn release_window(&mut self, window: &str) -> Result<()> {
        self.order(format!("release {window}"), Command::Release { window: window.into() })
    }

    /// Notes a fault that a scenario has found; its step should fail with what this gives.
    pub fn found(&mut self, rule: &str, callback: &str, place: impl Into<String>) -> anyhow::Error {
        self.fault(Violation { rule: rule.into(), callback: callback.into(), place: place.into() })
    }

    /// Asks for a cancel by ID and does not wait for its end.
    pub fn begin_cancel_send(&mut self, cancel_id: u64) -> Result<Ordered> {
        self.begin_order(
            format!("cancel the sends with ID {cancel_id:#x}"),
            Command::CancelSend { cancel_id },
        )
    }

    /// Waits for the end of a cancel.
    pub fn finish_cancel_send(&mut self, cancelling: &Ordered) -> Result<()> {
        self.finish_order("the cancel has returned", cancelling)
    }

    /// Asks for the filter to be detached and does not wait for it.
    pub fn begin_detach_filter(&mut self) -> Result<Ordered> {
        self.begin_order("detach the filter", Command::DetachFilter)
    }

    /// Waits until the filter is detached.
    pub fn finish_detach_filter(&mut self, detaching: &Ordered) -> Result<()> {
        self.finish_order("the filter is detached", detaching)
    }

    fn begin_order(&mut self, name: impl Into<String>, command: Command) -> Result<Ordered> {
        self.step(name, |run| Ok((Ordered(run.begin(command)?), String::new())))
    }

    fn finish_order(&mut self, name: &str, ordered: &Ordered) -> Result<()> {
        self.step(name, |run| {
            run.collect(&ordered.0, Lives::GoOn)?;
            Ok(((), String::new()))
        })
    }

    pub(super) fn order(&mut self, name: impl Into<String>, command: Command) -> Result<()> {
        self.step(name, |run| {
            run.ask(command)?;
            Ok(((), String::new()))
        })
    }
}
