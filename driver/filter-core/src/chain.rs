//! Lists one behind the other, linked through the lists themselves: queueing one takes no memory.

use crate::List;

/// Lists in their order. Whoever has the chain holds the lists.
#[derive(Debug)]
#[must_use = "the lists in it would be lost"]
pub struct Chain<L> {
    /// First and last.
    ends: Option<(L, L)>,
    len: usize,
}

impl<L: List> Default for Chain<L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: List> Chain<L> {
    /// Without lists.
    pub const fn new() -> Self {
        Self { ends: None, len: 0 }
    }

    /// A list and all behind it.
    pub fn from_first(first: Option<L>) -> Self {
        let Some(first) = first else { return Self::new() };
        let (mut last, mut len) = (first, 1);
        while let Some(next) = last.next() {
            (last, len) = (next, len + 1);
        }
        Self { ends: Some((first, last)), len }
    }

    /// The first list, with all others behind it.
    #[must_use]
    pub fn into_first(self) -> Option<L> {
        self.ends.map(|(first, _)| first)
    }

    /// How many lists.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first list.
    #[must_use]
    pub fn first(&self) -> Option<L> {
        self.ends.map(|(first, _)| first)
    }

    /// Puts a list behind all others.
    pub fn push(&mut self, list: L) {
        list.set_next(None);
        self.ends = match self.ends {
            None => Some((list, list)),
            Some((first, last)) => {
                last.set_next(Some(list));
                Some((first, list))
            }
        };
        self.len += 1;
    }

    /// Takes the first list.
    pub fn pop(&mut self) -> Option<L> {
        let (first, last) = self.ends?;
        self.ends = first.next().map(|next| (next, last));
        self.len -= 1;
        first.set_next(None);
        Some(first)
    }

    /// Puts another chain behind this one.
    pub fn append(&mut self, other: Self) {
        let Some((other_first, other_last)) = other.ends else { return };
        self.ends = match self.ends {
            None => Some((other_first, other_last)),
            Some((first, last)) => {
                last.set_next(Some(other_first));
                Some((first, other_last))
            }
        };
        self.len += other.len;
    }

    /// Takes everything.
    pub fn take(&mut self) -> Self {
        core::mem::take(self)
    }

    /// Takes lists from the front, as long as there are any and `goes` says so.
    pub fn take_front(&mut self, mut goes: impl FnMut(L) -> bool) -> Self {
        let mut taken = Self::new();
        while self.first().is_some_and(&mut goes)
            && let Some(list) = self.pop()
        {
            taken.push(list);
        }
        taken
    }

    /// Takes the lists of which `goes` says so. Both they and the rest keep their order.
    pub fn take_matching(&mut self, mut goes: impl FnMut(L) -> bool) -> Self {
        let mut taken = Self::new();
        let mut all = self.take();
        while let Some(list) = all.pop() {
            if goes(list) {
                taken.push(list);
            } else {
                self.push(list);
            }
        }
        taken
    }

    /// The lists in order, which stay where they are.
    pub fn iter(&self) -> impl Iterator<Item = L> + '_ {
        core::iter::successors(self.first(), |list| list.next()).take(self.len)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{boxed::Box, cell::Cell, vec, vec::Vec};

    use super::*;
    use crate::{Outcome, Way};

    #[derive(Clone, Copy)]
    struct Numbered(&'static (u64, Cell<Option<Numbered>>));

    impl PartialEq for Numbered {
        fn eq(&self, other: &Self) -> bool {
            std::ptr::eq(self.0, other.0)
        }
    }

    impl Eq for Numbered {}

    impl List for Numbered {
        fn next(self) -> Option<Self> {
            self.0.1.get()
        }
        fn set_next(self, next: Option<Self>) {
            self.0.1.set(next);
        }
        fn cancel_id(self) -> u64 {
            self.0.0
        }
        fn clear_cancel_id(self) {}
        fn outcome(self) -> Outcome {
            Outcome::Success
        }
        fn set_outcome(self, _: Outcome) {}
        fn way(self) -> Way {
            Way::default()
        }
        fn set_way(self, _: Way) {}
    }

    fn chain(numbers: impl IntoIterator<Item = u64>) -> Chain<Numbered> {
        let mut chain = Chain::new();
        for number in numbers {
            chain.push(Numbered(Box::leak(Box::new((number, Cell::new(None))))));
        }
        chain
    }

    fn numbers(chain: &Chain<Numbered>) -> Vec<u64> {
        assert_eq!(chain.len(), chain.iter().count());
        chain.iter().map(List::cancel_id).collect()
    }

    #[test]
    fn what_is_taken_and_what_stays_keep_their_order() {
        let mut all = chain(1..=7);
        let odd = all.take_matching(|list| list.cancel_id() % 2 == 1);
        assert_eq!((numbers(&odd), numbers(&all)), (vec![1, 3, 5, 7], vec![2, 4, 6]));
    }

    #[test]
    fn a_chain_and_its_first_list_are_the_same() {
        let whole = Chain::from_first(chain(1..=3).into_first());
        assert_eq!(numbers(&whole), [1, 2, 3]);
        assert!(Chain::<Numbered>::from_first(None).is_empty());
    }

    #[test]
    fn the_front_ends_where_the_first_list_stays() {
        let mut all = chain(1..=4);
        let front = all.take_front(|list| list.cancel_id() != 3);
        assert_eq!((numbers(&front), numbers(&all)), (vec![1, 2], vec![3, 4]));
        assert_eq!(front.into_first().map(|list| list.0.0), Some(1));
    }

    #[test]
    fn an_emptied_chain_takes_new_lists() {
        let mut all = chain(1..=1);
        assert!(all.pop().is_some_and(|list| list.next().is_none()));
        assert!(all.pop().is_none() && all.is_empty());
        all.append(chain(2..=3));
        all.append(chain(4..=4));
        all.append(Chain::new());
        assert_eq!(numbers(&all), [2, 3, 4]);
    }
}
