//! A filter module's state, and what may happen in it. Pure.

use super::ledger::Broken;
use alloc::format;

use ndis_sys::{
    NDIS_STATUS_FAILURE, NDIS_STATUS_PENDING as PENDING, NDIS_STATUS_RESOURCES,
    NDIS_STATUS_SUCCESS as SUCCESS,
};

/// The failures that FilterRestart has.
const RESTART_FAILURES: [i32; 2] = [NDIS_STATUS_RESOURCES, NDIS_STATUS_FAILURE];

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

/// How an operation of a module stands that may end later than its callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// None.
    Idle,
    /// The callback runs.
    Called,
    /// The callback runs, and the completion was called meanwhile.
    CompletedEarly(i32),
    /// The callback returned NDIS_STATUS_PENDING.
    Pended,
    /// It has ended with this status.
    Ended(i32),
}

/// The state machine of one module.
#[derive(Debug)]
pub struct Machine {
    state: State,
    operation: Operation,
}

impl Machine {
    /// A module whose FilterAttach is about to be called.
    #[must_use]
    pub const fn attaching() -> Self {
        Self { state: State::Attaching, operation: Operation::Idle }
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
        (self.state, self.operation) = (State::Restarting, Operation::Called);
    }

    /// FilterPause is about to be called.
    pub fn pausing(&mut self) {
        (self.state, self.operation) = (State::Pausing, Operation::Called);
    }

    /// FilterDetach is about to be called.
    pub fn detached(&mut self) {
        self.state = State::Detached;
    }

    /// FilterPause or FilterRestart returned `status`.
    ///
    /// # Errors
    /// It may not return that.
    pub fn returned(&mut self, status: i32) -> Result<(), Broken> {
        let pause = self.state == State::Pausing;
        let allowed = status == SUCCESS || status == PENDING || !pause && RESTART_FAILURES.contains(&status);
        if !allowed {
            let (rule, what) = if pause {
                ("NdisFilterTimedPauseComplete", "FilterPause")
            } else {
                ("FilterRestartStatus", "FilterRestart")
            };
            return Err(Broken::new(rule, format!("{what} returned {:#010x}", status as u32)));
        }
        self.operation = match (self.operation, status) {
            (Operation::CompletedEarly(status), PENDING) => Operation::Ended(status),
            (Operation::CompletedEarly(_), _) => {
                let rule = if pause { "NdisFilterTimedPauseComplete" } else { "RestartCompletedTwice" };
                let place = format!("returned {:#010x} and was completed as well", status as u32);
                return Err(Broken::new(rule, place));
            }
            (_, PENDING) => Operation::Pended,
            (_, status) => Operation::Ended(status),
        };
        Ok(())
    }

    /// NdisFPauseComplete (`pause`) or NdisFRestartComplete with `status`.
    ///
    /// # Errors
    /// There is nothing to complete.
    pub fn completed(&mut self, pause: bool, status: i32) -> Result<(), Broken> {
        let wanted = if pause { State::Pausing } else { State::Restarting };
        self.operation = match self.operation {
            Operation::Called if self.state == wanted => Operation::CompletedEarly(status),
            Operation::Pended if self.state == wanted => Operation::Ended(status),
            operation => {
                let rule = match (pause, self.state) {
                    (true, State::Pausing | State::Paused) => "NdisFilterTimedPauseComplete",
                    (true, _) => "PauseCompleteWithoutPause",
                    (false, _) => "RestartCompleteWithoutRestart",
                };
                let place = format!("the module is {:?}, the operation {operation:?}", self.state);
                return Err(Broken::new(rule, place));
            }
        };
        Ok(())
    }

    /// The status with which the operation has ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<i32> {
        match self.operation {
            Operation::Ended(status) => Some(status),
            _ => None,
        }
    }

    /// Takes the ended operation's state: Paused after a pause, Running or, on failure, Paused after a restart.
    pub fn settle(&mut self) {
        if let Operation::Ended(status) = self.operation {
            self.state = match self.state {
                State::Restarting if status == SUCCESS => State::Running,
                _ => State::Paused,
            };
            self.operation = Operation::Idle;
        }
    }

    /// What the module believes of itself in a call that begins now.
    #[must_use]
    pub fn began(&self) -> Began {
        match (self.state, self.operation) {
            (State::Running, _) => Began::Running,
            // inside FilterPause and FilterRestart it changes its mind at a time of its own
            (State::Pausing, Operation::Called) | (State::Restarting, _) => Began::Between,
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

    fn running() -> Machine {
        let mut machine = Machine::attaching();
        machine.attached();
        machine.restarting();
        machine.returned(SUCCESS).unwrap();
        machine.settle();
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
        assert_eq!(machine.ended(), None);
        machine.completed(true, SUCCESS).unwrap();
        machine.settle();
        assert_eq!(machine.state(), State::Paused);
    }

    #[test]
    fn a_completion_inside_the_callback_counts() {
        let mut machine = running();
        machine.pausing();
        machine.completed(true, SUCCESS).unwrap();
        machine.returned(PENDING).unwrap();
        assert_eq!(machine.ended(), Some(SUCCESS));
    }

    #[test]
    fn a_pause_cannot_fail() {
        let mut machine = running();
        machine.pausing();
        assert_eq!(rule(machine.returned(RESTART_FAILURES[0])), "NdisFilterTimedPauseComplete");
    }

    #[test]
    fn a_pause_completes_once() {
        let mut machine = running();
        machine.pausing();
        machine.returned(PENDING).unwrap();
        machine.completed(true, SUCCESS).unwrap();
        assert_eq!(rule(machine.completed(true, SUCCESS)), "NdisFilterTimedPauseComplete");
        machine.settle();
        assert_eq!(rule(machine.completed(true, SUCCESS)), "NdisFilterTimedPauseComplete");
    }

    #[test]
    fn a_completion_without_its_operation_is_named() {
        assert_eq!(rule(running().completed(true, SUCCESS)), "PauseCompleteWithoutPause");
        assert_eq!(rule(running().completed(false, SUCCESS)), "RestartCompleteWithoutRestart");
    }

    #[test]
    fn success_and_a_completion_are_one_too_many() {
        let mut machine = running();
        machine.pausing();
        machine.completed(true, SUCCESS).unwrap();
        assert_eq!(rule(machine.returned(SUCCESS)), "NdisFilterTimedPauseComplete");
    }

    #[test]
    fn a_failed_restart_leaves_the_module_paused() {
        let mut machine = Machine::attaching();
        machine.attached();
        machine.restarting();
        machine.returned(RESTART_FAILURES[0]).unwrap();
        machine.settle();
        assert_eq!(machine.state(), State::Paused);
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
        machine.completed(true, SUCCESS).unwrap();
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
