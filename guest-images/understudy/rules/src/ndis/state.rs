//! A filter module's state, and what may happen in it. Pure.
//!
//! Rules: NF9 to NF11 (`driver/docs/ndis-filter.md`).

use super::ledger::Broken;
use alloc::format;

use ndis_sys::{NDIS_STATUS_PENDING as PENDING, NDIS_STATUS_SUCCESS as SUCCESS};

/// Where a module stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// FilterAttach runs. Nothing may be sent, indicated or asked for; NdisFSetAttributes has to be called.
    Attaching,
    /// It holds no list and sends none. OID requests and status indications pass.
    Paused,
    /// FilterRestart has been called and has not ended.
    Restarting,
    /// Lists flow.
    Running,
    /// FilterPause has been called and has not ended: own lists come back, others' queued ones are completed.
    Pausing,
    /// FilterDetach has been called: the handle is dead when it returns.
    Detached,
}

/// How a pause stands, which may end later than FilterPause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// There is none.
    Idle,
    /// FilterPause runs.
    Called,
    /// FilterPause runs, and the completion was called meanwhile.
    CompletedEarly,
    /// FilterPause returned NDIS_STATUS_PENDING.
    Pended,
    /// It has ended.
    Ended,
}

/// The state machine of one module.
#[derive(Debug)]
pub struct Machine {
    state: State,
    pause: Pause,
}

impl Machine {
    /// A module whose FilterAttach is about to be called.
    #[must_use]
    pub const fn attaching() -> Self {
        Self { state: State::Attaching, pause: Pause::Idle }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// FilterAttach succeeded and set its attributes.
    pub fn attached(&mut self) {
        self.state = State::Paused;
    }

    /// FilterRestart is about to be called.
    pub fn restarting(&mut self) {
        self.state = State::Restarting;
    }

    /// FilterRestart has succeeded.
    pub fn restarted(&mut self) {
        self.state = State::Running;
    }

    /// FilterPause is about to be called.
    pub fn pausing(&mut self) {
        (self.state, self.pause) = (State::Pausing, Pause::Called);
    }

    /// FilterDetach is about to be called.
    pub fn detached(&mut self) {
        self.state = State::Detached;
    }

    /// FilterPause returned `status`.
    ///
    /// # Errors
    /// It may not return that.
    pub fn returned(&mut self, status: i32) -> Result<(), Broken> {
        self.pause = match (self.pause, status) {
            (Pause::CompletedEarly, PENDING) | (Pause::Called, SUCCESS) => Pause::Ended,
            (Pause::Called, PENDING) => Pause::Pended,
            (pause, status) => {
                let completed =
                    if pause == Pause::CompletedEarly { " and was completed as well" } else { "" };
                let place = format!("FilterPause returned {:#010x}{completed}", status as u32);
                return Err(Broken::new("NdisFilterTimedPauseComplete", place));
            }
        };
        Ok(())
    }

    /// NdisFPauseComplete.
    ///
    /// # Errors
    /// There is nothing to complete.
    pub fn completed(&mut self) -> Result<(), Broken> {
        self.pause = match self.pause {
            Pause::Called => Pause::CompletedEarly,
            Pause::Pended => Pause::Ended,
            pause => {
                let rule = match self.state {
                    State::Pausing | State::Paused => "NdisFilterTimedPauseComplete",
                    _ => "PauseCompleteWithoutPause",
                };
                return Err(Broken::new(
                    rule,
                    format!("the module is {:?}, the pause {pause:?}", self.state),
                ));
            }
        };
        Ok(())
    }

    /// Whether FilterPause has done what it has to.
    #[must_use]
    pub fn has_paused(&self) -> bool {
        self.pause == Pause::Ended
    }

    /// Takes the state after a pause that has ended.
    pub fn settle(&mut self) {
        if self.pause == Pause::Ended {
            (self.state, self.pause) = (State::Paused, Pause::Idle);
        }
    }

    /// What the module believes of itself in a call that begins now.
    #[must_use]
    pub fn began(&self) -> Began {
        match (self.state, self.pause) {
            (State::Running, _) => Began::Running,
            // inside FilterPause and FilterRestart it changes its mind at a time of its own
            (State::Pausing, Pause::Called) | (State::Restarting, _) => Began::Between,
            _ => Began::Stopped,
        }
    }

    /// A list is sent or indicated by the module, in a call that began as `began` says; a thread of the driver's own
    /// counts as [`Began::Between`].
    ///
    /// # Errors
    /// It may not in this state.
    pub fn may_pass(&self, rule: &'static str, began: Began) -> Result<(), Broken> {
        match self.state {
            State::Running | State::Restarting => Ok(()),
            // what had begun before, or what the pause waits for
            State::Pausing if began != Began::Stopped => Ok(()),
            state => Err(Broken::new(rule, format!("the module is {state:?}"))),
        }
    }

    /// A running module refuses a list with NDIS_STATUS_PAUSED, in a call that began as `began` says.
    ///
    /// # Errors
    /// It had no reason.
    pub fn may_refuse(&self, began: Began) -> Result<(), Broken> {
        if self.state == State::Running && began == Began::Running {
            let place = "a running module refuses a list with NDIS_STATUS_PAUSED".into();
            return Err(Broken::new("PausedWhileRunning", place));
        }
        Ok(())
    }
}

/// What a module can believe of itself when a call into it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Began {
    /// It runs.
    Running,
    /// Its pause or restart is under way: either.
    Between,
    /// It is paused.
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndis_sys::NDIS_STATUS_FAILURE;

    fn running() -> Machine {
        let mut machine = Machine::attaching();
        machine.attached();
        machine.restarting();
        machine.restarted();
        machine
    }

    fn rule(result: Result<(), Broken>) -> &'static str {
        result.unwrap_err().rule
    }

    #[test]
    fn a_module_runs_after_attach_and_restart() {
        assert_eq!(running().state(), State::Running);
    }

    #[test]
    fn a_pended_pause_ends_with_its_completion() {
        let mut machine = running();
        machine.pausing();
        machine.returned(PENDING).unwrap();
        assert!(!machine.has_paused());
        machine.completed().unwrap();
        machine.settle();
        assert_eq!(machine.state(), State::Paused);
    }

    #[test]
    fn a_completion_inside_the_callback_counts() {
        let mut machine = running();
        machine.pausing();
        machine.completed().unwrap();
        machine.returned(PENDING).unwrap();
        assert!(machine.has_paused());
    }

    #[test]
    fn a_pause_cannot_fail() {
        let mut machine = running();
        machine.pausing();
        assert_eq!(rule(machine.returned(NDIS_STATUS_FAILURE)), "NdisFilterTimedPauseComplete");
    }

    #[test]
    fn a_pause_completes_once() {
        let mut machine = running();
        machine.pausing();
        machine.returned(PENDING).unwrap();
        machine.completed().unwrap();
        assert_eq!(rule(machine.completed()), "NdisFilterTimedPauseComplete");
        machine.settle();
        assert_eq!(rule(machine.completed()), "NdisFilterTimedPauseComplete");
    }

    #[test]
    fn a_completion_without_its_operation_is_named() {
        assert_eq!(rule(running().completed()), "PauseCompleteWithoutPause");
    }

    #[test]
    fn success_and_a_completion_are_one_too_many() {
        let mut machine = running();
        machine.pausing();
        machine.completed().unwrap();
        assert_eq!(rule(machine.returned(SUCCESS)), "NdisFilterTimedPauseComplete");
    }

    #[test]
    fn lists_pass_until_the_pause_has_ended() {
        let mut machine = running();
        assert_eq!(machine.may_pass("SendOutsideRunning", Began::Running), Ok(()));
        machine.pausing();
        assert_eq!(machine.began(), Began::Between);
        assert_eq!(machine.may_pass("SendOutsideRunning", Began::Between), Ok(()));
        machine.returned(PENDING).unwrap();
        assert_eq!(machine.began(), Began::Stopped);
        assert_eq!(machine.may_pass("SendOutsideRunning", Began::Running), Ok(()));
        assert_eq!(rule(machine.may_pass("SendOutsideRunning", Began::Stopped)), "SendOutsideRunning");
        machine.completed().unwrap();
        machine.settle();
        assert_eq!(rule(machine.may_pass("SendOutsideRunning", Began::Between)), "SendOutsideRunning");
    }

    #[test]
    fn only_a_running_module_has_no_reason_to_refuse() {
        let mut machine = running();
        assert_eq!(rule(machine.may_refuse(Began::Running)), "PausedWhileRunning");
        assert_eq!(machine.may_refuse(Began::Stopped), Ok(()));
        machine.pausing();
        assert_eq!(machine.may_refuse(Began::Running), Ok(()));
    }
}
