//! Deliberate misbehaviours, by which the rig proves that it would notice them.
//!
//! Without the feature `mutants` the type is empty and every question is answered with a constant no: the shipped
//! driver holds none of it.

/// At most one misbehaviour, chosen at run time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutant {
    #[cfg(feature = "mutants")]
    number: u32,
}

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        impl Mutant {
            /// Names of the misbehaviours, by number from 1.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            $(
                $(#[$doc])*
                pub(crate) const fn $name(self) -> bool {
                    self.is($number)
                }
            )*
        }
    };
}

mutants! {
    /// A held list that a cancel hits is completed twice.
    completes_twice = 1,
    /// A cancel ends here.
    forgets_to_pass_on = 2,
    /// An own list keeps its ID when it is over.
    keeps_stale_id = 3,
    /// NULL hits unmarked lists.
    matches_null = 4,
    /// The high-order byte of an ID is not compared.
    ignores_high_byte = 5,
    /// The lists that a cancel leaves are turned round.
    reorders_the_rest = 6,
    /// A pause forgets the held lists.
    loses_held_on_pause = 7,
    /// An own list that a cancel hits goes up.
    completes_own_up = 8,
    /// A held list that a cancel hits has no status.
    sets_no_status = 9,
    /// A send while paused or pausing is passed on.
    sends_while_paused = 10,
    /// A pause does not wait for own lists.
    pauses_at_once = 11,
}

impl Mutant {
    /// Behaves.
    pub const NONE: Self = Self {
        #[cfg(feature = "mutants")]
        number: 0,
    };

    /// The misbehaviour with this number; 0 for none.
    #[must_use]
    #[cfg(feature = "mutants")]
    pub const fn from_number(number: u32) -> Self {
        Self { number }
    }

    #[cfg_attr(not(feature = "mutants"), expect(unused_variables, reason = "there is nothing to choose"))]
    const fn is(self, number: u32) -> bool {
        #[cfg(feature = "mutants")]
        return self.number == number;
        #[cfg(not(feature = "mutants"))]
        return false;
    }
}
