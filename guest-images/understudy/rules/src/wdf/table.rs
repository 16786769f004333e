//! The table behind framework handles: typed, counted, in a tree of parents and children.
//!
//! A handle is a number that no processor accepts as an address, so a driver that looks inside one faults at once.
//! Pure bookkeeping: it calls nobody and knows no object's meaning.
//!
//! Rules: RQ5, RQ42 (`driver/docs/requests.md`).

use alloc::{sync::Arc, vec::Vec};
use core::fmt;

/// Upper 16 bits of every handle: not a canonical address.
const TAG: u64 = 0x5df0;
/// Bits of a handle that hold the slot's number.
const SLOT_BITS: u32 = 20;

/// A framework handle as the driver holds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(u64);

impl Handle {
    /// The value as it crosses the boundary; NULL and nonsense are allowed, [`Table::get`] refuses them.
    #[must_use]
    pub fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The value as the driver sees it. Never zero for a handle that [`Table::insert`] made.
    #[must_use]
    pub fn raw(self) -> u64 {
        self.0
    }

    fn new(slot: usize, generation: u32) -> Self {
        // generations wrap after 2^28 uses of one slot
        Self(TAG << 48 | u64::from(generation & 0xfff_ffff) << SLOT_BITS | slot as u64)
    }

    fn slot(self) -> Option<usize> {
        (self.0 >> 48 == TAG).then_some((self.0 & ((1 << SLOT_BITS) - 1)) as usize)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Something with a kind, so that a handle of another kind is told apart by name.
pub trait Kinded {
    /// The object's type as the framework names it: `WDFDEVICE`, `NETPACKETQUEUE`.
    fn kind(&self) -> &'static str;
}

impl<T: Kinded + ?Sized> Kinded for Arc<T> {
    fn kind(&self) -> &'static str {
        (**self).kind()
    }
}

/// Why a handle was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandleFault {
    /// The handle is NULL.
    Null,
    /// The value was never a handle.
    Foreign(u64),
    /// The object has been deleted; its kind is kept for the report.
    Stale(&'static str),
}

impl fmt::Display for HandleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "the handle is NULL"),
            Self::Foreign(raw) => write!(f, "{raw:#x} is not a framework handle"),
            Self::Stale(kind) => write!(f, "the {kind} has been deleted"),
        }
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    /// Kind of the object that is or was last here.
    kind: &'static str,
    object: Option<T>,
    parent: Option<Handle>,
    children: Vec<Handle>,
}

/// All live objects. `T` is cheap to clone: a reference count.
#[derive(Debug)]
pub struct Table<T> {
    slots: Vec<Slot<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Table<T> {
    /// An empty table; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T: Kinded + Clone> Table<T> {
    /// Enters an object below `parent`.
    ///
    /// # Errors
    /// The parent's handle is refused.
    pub fn insert(&mut self, object: T, parent: Option<Handle>) -> Result<Handle, HandleFault> {
        if let Some(parent) = parent {
            self.slot(parent)?;
        }
        let kind = object.kind();
        let free = self.slots.iter().position(|slot| slot.object.is_none());
        let at = free.unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, kind, object: None, parent: None, children: Vec::new() });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[at];
        slot.generation += 1;
        slot.kind = kind;
        slot.object = Some(object);
        slot.parent = parent;
        slot.children.clear();
        let handle = Handle::new(at, slot.generation);
        if let Some(parent) = parent.and_then(Handle::slot) {
            self.slots[parent].children.push(handle);
        }
        Ok(handle)
    }

    fn slot(&self, handle: Handle) -> Result<usize, HandleFault> {
        if handle.0 == 0 {
            return Err(HandleFault::Null);
        }
        let at = handle.slot().filter(|&at| at < self.slots.len()).ok_or(HandleFault::Foreign(handle.0))?;
        let slot = &self.slots[at];
        if slot.object.is_some() && Handle::new(at, slot.generation) == handle {
            Ok(at)
        } else {
            Err(HandleFault::Stale(slot.kind))
        }
    }

    /// The object behind a handle, whatever its kind.
    ///
    /// # Errors
    /// The handle is NULL, foreign or stale.
    pub fn get(&self, handle: Handle) -> Result<T, HandleFault> {
        let at = self.slot(handle)?;
        self.slots[at].object.clone().ok_or(HandleFault::Stale(self.slots[at].kind))
    }

    /// The parent, if there is one.
    ///
    /// # Errors
    /// The handle is NULL, foreign or stale.
    pub fn parent(&self, handle: Handle) -> Result<Option<Handle>, HandleFault> {
        Ok(self.slots[self.slot(handle)?].parent)
    }

    /// The object and everything below it, children before parents, youngest sibling first: the order in which
    /// cleanup callbacks run.
    ///
    /// # Errors
    /// The handle is NULL, foreign or stale.
    pub fn subtree(&self, handle: Handle) -> Result<Vec<Handle>, HandleFault> {
        let at = self.slot(handle)?;
        let mut all = Vec::new();
        for &child in self.slots[at].children.iter().rev() {
            all.extend(self.subtree(child)?);
        }
        all.push(handle);
        Ok(all)
    }

    /// Takes an object out of its parent's tree; it stays live by itself.
    ///
    /// # Errors
    /// The handle is NULL, foreign or stale.
    pub fn orphan(&mut self, handle: Handle) -> Result<(), HandleFault> {
        let at = self.slot(handle)?;
        let parent = self.slots[at].parent.take();
        if let Some(parent) = parent.and_then(Handle::slot) {
            self.slots[parent].children.retain(|&child| child != handle);
        }
        Ok(())
    }

    /// Takes one object out; its children must be gone.
    ///
    /// # Errors
    /// The handle is NULL, foreign or stale.
    pub fn remove(&mut self, handle: Handle) -> Result<T, HandleFault> {
        let at = self.slot(handle)?;
        self.orphan(handle)?;
        let slot = &mut self.slots[at];
        slot.object.take().ok_or(HandleFault::Stale(slot.kind))
    }

    /// Every live handle with its kind.
    pub fn live(&self) -> impl Iterator<Item = (Handle, &'static str)> + '_ {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| slot.object.is_some())
            .map(|(at, slot)| (Handle::new(at, slot.generation), slot.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Object(&'static str);

    impl Kinded for Object {
        fn kind(&self) -> &'static str {
            self.0
        }
    }

    #[test]
    fn a_handle_finds_its_object() {
        let mut table = Table::new();
        let handle = table.insert(Object("WDFDEVICE"), None).unwrap();
        assert_eq!(table.get(handle), Ok(Object("WDFDEVICE")));
    }

    #[test]
    fn a_handle_is_no_canonical_address() {
        let mut table = Table::new();
        let raw = table.insert(Object("WDFDEVICE"), None).unwrap().raw();
        assert!(raw >> 47 != 0 && raw >> 47 != 0x1_ffff);
    }

    #[test]
    fn null_and_foreign_values_are_told_apart() {
        let table: Table<Object> = Table::new();
        assert_eq!(table.get(Handle::from_raw(0)), Err(HandleFault::Null));
        assert_eq!(table.get(Handle::from_raw(0x1234)), Err(HandleFault::Foreign(0x1234)));
    }

    #[test]
    fn a_deleted_object_stays_stale_when_its_slot_is_used_again() {
        let mut table = Table::new();
        let first = table.insert(Object("WDFTIMER"), None).unwrap();
        table.remove(first).unwrap();
        assert_eq!(table.get(first), Err(HandleFault::Stale("WDFTIMER")));
        let second = table.insert(Object("WDFSPINLOCK"), None).unwrap();
        assert_ne!(first, second);
        assert_eq!(table.get(first), Err(HandleFault::Stale("WDFSPINLOCK")));
    }

    #[test]
    fn children_come_before_parents_and_the_youngest_first() {
        let mut table = Table::new();
        let root = table.insert(Object("a"), None).unwrap();
        let older = table.insert(Object("b"), Some(root)).unwrap();
        let younger = table.insert(Object("c"), Some(root)).unwrap();
        let grandchild = table.insert(Object("d"), Some(older)).unwrap();
        assert_eq!(table.subtree(root).unwrap(), [younger, grandchild, older, root]);
    }

    #[test]
    fn a_removed_child_leaves_its_parent() {
        let mut table = Table::new();
        let root = table.insert(Object("a"), None).unwrap();
        let child = table.insert(Object("b"), Some(root)).unwrap();
        table.remove(child).unwrap();
        assert_eq!(table.subtree(root).unwrap(), [root]);
        assert_eq!(table.live().count(), 1);
    }

    #[test]
    fn an_orphan_outlives_its_parent() {
        let mut table = Table::new();
        let root = table.insert(Object("a"), None).unwrap();
        let child = table.insert(Object("b"), Some(root)).unwrap();
        table.orphan(child).unwrap();
        assert_eq!(table.subtree(root).unwrap(), [root]);
        table.remove(root).unwrap();
        assert_eq!(table.get(child), Ok(Object("b")));
    }

    #[test]
    fn nothing_is_entered_below_a_stale_parent() {
        let mut table = Table::new();
        let parent = table.insert(Object("a"), None).unwrap();
        table.remove(parent).unwrap();
        assert_eq!(table.insert(Object("b"), Some(parent)), Err(HandleFault::Stale("a")));
        assert_eq!(table.live().count(), 0);
    }
}
