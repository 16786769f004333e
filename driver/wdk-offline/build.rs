//! Joins the binding texts for this crate's own use, with the Windows x64 calling convention by name.

use std::{env, fmt::Write as _, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=bindings");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let read = |name: &str| {
        fs::read_to_string(PathBuf::from("bindings").join(name))
            .unwrap_or_else(|error| panic!("bindings/{name}: {error}"))
    };
    let write = |name: &str, text: &str| {
        fs::write(out.join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    };

    let table = read("wdf_function_enum.rs");
    let texts = [
        "nt.rs",
        "irp.rs",
        "wdf.rs",
        "wdf_requests.rs",
        "wdf_functions.rs",
        "wdf_request_functions.rs",
        "wdf_offered.rs",
    ];
    let types = texts.map(read).concat() + &table;
    write("types.rs", &types.replace("extern \"C\"", "extern \"win64\""));
    write("constants.rs", &read("constants.rs"));

    let mut names = String::from("/// Names of the KMDF functions in the order of the function table.\n");
    names.push_str("pub const FUNCTION_NAMES: [&str; 458] = [\n");
    let functions =
        table.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.split_once("TableIndex: "));
    for (name, _) in functions {
        writeln!(names, "    \"{name}\",").expect("writing to a string");
    }
    names.push_str("];\n");
    write("function_names.rs", &names);
}
