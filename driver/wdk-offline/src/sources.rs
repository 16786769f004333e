//! The generated files that wdk-sys expects in its `OUT_DIR`, as texts.

/// What goes into `types.rs`.
pub const TYPES: &str = concat!(
    include_str!("../bindings/nt.rs"),
    include_str!("../bindings/irp.rs"),
    include_str!("../bindings/wdf.rs"),
    include_str!("../bindings/wdf_requests.rs"),
    include_str!("../bindings/wdf_functions.rs"),
    include_str!("../bindings/wdf_request_functions.rs"),
    include_str!("../bindings/wdf_function_enum.rs"),
);

/// Types that this crate has beside [`TYPES`]: of functions that understudy offers and no driver of ours calls.
pub const OFFERED: &str = include_str!("../bindings/wdf_offered.rs");

/// What goes into `constants.rs`.
pub const CONSTANTS: &str = include_str!("../bindings/constants.rs");

/// What goes into `ntddk.rs`.
pub const NTDDK: &str = include_str!("../bindings/ntddk.rs");

/// What goes into `wdf.rs`: the framework's inline functions, none of which is needed.
pub const WDF: &str = "";

/// What goes into `wdf_function_count.rs`.
pub const WDF_FUNCTION_COUNT: &str = "\
pub fn get_wdf_function_count() -> usize {
    // SAFETY: written once, before the driver's entry point runs.
    (unsafe { crate::WdfFunctionCount }) as usize
}
";

/// What goes into `call_unsafe_wdf_function_binding.rs`; `TYPES_PATH` stands for the absolute path
/// of `types.rs`.
pub const CALL_MACRO: &str = "\
#[macro_export]
macro_rules! call_unsafe_wdf_function_binding {
    ( $($tt:tt)* ) => {
        $crate::__proc_macros::call_unsafe_wdf_function_binding! ( r\"TYPES_PATH\", $($tt)* )
    }
}
";

/// Every file: its name and its text.
pub const FILES: [(&str, &str); 6] = [
    ("types.rs", TYPES),
    ("constants.rs", CONSTANTS),
    ("ntddk.rs", NTDDK),
    ("wdf.rs", WDF),
    ("wdf_function_count.rs", WDF_FUNCTION_COUNT),
    ("call_unsafe_wdf_function_binding.rs", CALL_MACRO),
];
