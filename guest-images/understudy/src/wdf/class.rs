//! The class extension above KMDF: one at most, known by what it registers at boot.

use alloc::string::String;
use spin::Once;
use wdk_offline::loader::WDF_VERSION;

/// A class extension, as WDFLDR binds drivers to it.
pub(crate) trait ClassExtension: Sync {
    /// ClassName of WDF_CLASS_BIND_INFO.
    fn name(&self) -> &'static str;

    /// How many functions a version's table has, of which a client takes all or the first; `None`: that version is not offered.
    fn functions(&self, version: WDF_VERSION) -> Option<usize>;

    /// The versions that are offered, in words.
    fn versions(&self) -> String;

    /// A client of that version is bound.
    fn bound(&self, version: WDF_VERSION);

    /// Index and address of each function that is offered.
    fn offered(&self) -> &'static [(usize, usize)];

    /// The name of the function at an index.
    fn function_name(&self, index: usize) -> &'static str;
}

static CLASS: Once<&'static dyn ClassExtension> = Once::new();

/// Makes the class extension known. At boot.
pub(crate) fn register(class: &'static dyn ClassExtension) {
    CLASS.call_once(|| class);
}

/// The class extension, if there is one.
pub(crate) fn get() -> Option<&'static dyn ClassExtension> {
    CLASS.get().copied()
}
