//! Packages that are none, projects' files that are wrong, and what a run is given by those that are right.

use super::*;
use clap::Parser;
use std::fs;

const INF: &str = "[Version]\nClass=Sample\nClassGuid={78a1c341-4539-11d3-b88d-00c04fad5171}\nDriverVer=1/2/2026,1.0.0.0\n\
    [Manufacturer]\nX=M,NTamd64\n[M.NTamd64]\nA device=I,ROOT\\sample\n[I.NT]\n[I.NT.Services]\nAddService=sample,2,S\n\
    [S]\nServiceType=1\nStartType=3\nServiceBinary=%13%\\sample.sys\n";

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    driver: foreign::Options,
    #[command(flatten)]
    packages: Options,
}

fn gather(line: &[&str]) -> Result<Brought> {
    let line = Line::try_parse_from(["test"].iter().chain(line))?;
    line.packages.gather(GuestKind::Understudy, &line.driver)
}

#[track_caller]
fn refused(line: &[&str], why: &str) {
    let error = gather(line).unwrap_err();
    let text = error.to_string();
    assert!(error.is::<Usage>() && text.contains(why) && !text.contains('\n'), "{error:#}");
}

/// A package with this INF, and a whole driver.
fn package(inf: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sample.inf"), inf).unwrap();
    let built = tempfile::tempdir().unwrap();
    fs::copy(crate::build::example(built.path()).image.path, folder.path().join("Sample.sys")).unwrap();
    folder
}

#[track_caller]
fn refused_package(inf: &str, why: &str) {
    let folder = package(inf);
    refused(&["--package", folder.path().to_str().unwrap()], why);
}

#[test]
fn a_package_of_any_class_is_taken_by_its_inf() {
    let folder = package(INF);
    let folder = folder.path().to_str().unwrap();
    let brought = gather(&["--package", folder, "--param", "Speed=7", "--with", "cancelnic-lwf"]).unwrap();
    let [driver] = &brought.packages[..] else { panic!("{:?}", brought.packages) };
    assert_eq!((driver.name, driver.subject.as_ref().unwrap().kind), ("sample", Kind::Root));
    assert_eq!(
        (brought.hardware.clone(), &brought.words[..]),
        (Hardware::None, &["param.Speed=7".to_owned()][..])
    );
    let again = format!(" --package {folder} --with cancelnic-lwf --device none --param Speed=7");
    assert_eq!(brought.replay, again);
    assert_ne!(brought.cast(), Cast::ours());
}

#[test]
fn a_driver_on_the_bus_needs_its_device_named_unless_that_is_ours() {
    let pci = |id: &str| INF.replace("ROOT\\sample", id);
    refused_package(
        &pci("PCI\\VEN_8086&DEV_10D3"),
        "is for PCI\\VEN_8086&DEV_10D3: name its device with --device",
    );
    let folder = package(&pci("PCI\\VEN_1AF4&DEV_1041&REV_01"));
    let brought = gather(&["--package", folder.path().to_str().unwrap()]).unwrap();
    assert_eq!(brought.hardware, Hardware::Cancelnic);
}

#[test]
fn a_folder_that_is_no_package_is_wrong_usage_in_one_line() {
    refused(&["--package", "/nowhere"], "--package /nowhere: No such file");
    let empty = tempfile::tempdir().unwrap();
    refused(&["--package", empty.path().to_str().unwrap()], "there is no .inf");
    refused_package(&INF.replace("NTamd64", "NTarm64"), "only for NTarm64");
    refused_package(
        &INF.replace("sample.sys", "other.sys"),
        "it names the driver other.sys, which is not there",
    );
    let with_catalog = INF.replace("DriverVer", "CatalogFile=sample.cat\nDriverVer");
    refused_package(&with_catalog, "it names the catalog sample.cat, which is not there");
    refused_package(&INF.replace("ROOT\\", "USB\\"), "no model with a PCI\\ or ROOT\\ id, but USB\\sample");
    refused_package("nothing", "sample.inf: line 1");
}

#[test]
fn a_driver_that_is_cut_or_of_another_architecture_is_wrong_usage() {
    let folder = package(INF);
    let image = folder.path().join("Sample.sys");
    let whole = fs::read(&image).unwrap();
    fs::write(&image, &whole[..whole.len() / 2]).unwrap();
    refused(&["--package", folder.path().to_str().unwrap()], "sample.inf: sample.sys: ");
    fs::write(&image, "MZ").unwrap();
    refused(&["--package", folder.path().to_str().unwrap()], "sample.inf: sample.sys: ");
}

#[test]
fn two_packages_of_one_service_are_wrong_usage() {
    let (one, other) = (package(INF), package(INF));
    let [one, other] = [&one, &other].map(|folder| folder.path().to_str().unwrap());
    refused(&["--package", one, "--package", other], "install one driver or service");
}

#[test]
fn what_goes_with_a_package_is_nothing_without_one() {
    for option in [["--device", "none"], ["--with", "cancelnic"], ["--symbols", "x.pdb"]] {
        refused(&option, &format!("{} goes with --package", option[0]));
    }
    assert!(Line::try_parse_from(["test", "--package", "a", "--driver", "b"]).is_err());
    assert!(Line::try_parse_from(["test", "--param", "no value"]).is_err());
}

#[test]
fn symbols_go_to_the_driver_of_their_name_or_to_the_only_one() {
    let folder = package(INF);
    let pdb = folder.path().join("build-7.pdb");
    let line = ["--package", folder.path().to_str().unwrap(), "--symbols", pdb.to_str().unwrap()];
    refused(&line, "build-7.pdb: No such file");
    fs::write(&pdb, "").unwrap();
    assert_eq!(gather(&line).unwrap().packages[0].symbols, pdb);
}

#[test]
fn a_projects_file_names_packages_device_and_parameters_from_its_own_folder() {
    let folder = package(INF);
    let text = "package = ['.']\ndevice = 'none'\nrules = 'rules'\nseed = 7\nwith = ['cancelnic-relay']\n[param]\nA = 1\nB = 'x'\n";
    fs::write(folder.path().join("cancelnic.toml"), text).unwrap();
    let brought = gather(&["--project", folder.path().to_str().unwrap(), "--param", "A=2"]).unwrap();
    assert_eq!(brought.packages.len(), 1);
    assert_eq!(brought.words, ["param.A=1", "param.B=x", "param.A=2"]);
    assert_eq!((brought.seed, brought.rules), (Some(7), Some(folder.path().join("rules"))));
    assert_eq!(brought.with, ["cancelnic-relay"]);
}

#[test]
fn a_key_that_a_projects_file_cannot_have_is_named_with_its_line() {
    let folder = package(INF);
    let project = ["--project", folder.path().to_str().unwrap()];
    refused(&project, "cancelnic.toml: No such file");
    for (text, why) in [
        ("package = []\n# ours\npakage = ['.']\n", "line 3: unknown field `pakage`"),
        ("device = 'e1000e'\n", "device is \"e1000e\", not cancelnic, qemu:NAME"),
        ("[param]\nA = 'two words'\n", "param.A: "),
        ("seed = \n", "line 1: "),
        ("seed = 1\n", "--project, whose file names no package, goes with --package"),
    ] {
        fs::write(folder.path().join("cancelnic.toml"), text).unwrap();
        refused(&project, why);
    }
}
