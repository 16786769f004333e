# ci/workflows/windows.ps1 headers -Programs DIR | drivers -Out DIR: on a Windows machine that has Visual Studio 2022 and
# the Windows driver kit 10.1.26100 (GitHub's windows-2022 has both).
#
#   headers  compiles and runs the C programs that the crate header-check has made, over the kit's own headers
#   drivers  builds the three drivers with the kit's bindings, and makes each a signed package with its symbols
param(
    [Parameter(Mandatory)][ValidateSet('headers', 'drivers')][string]$Task,
    [string]$Programs = 'layouts',
    [string]$Out = 'packages'
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $true

$kit = "${env:ProgramFiles(x86)}\Windows Kits\10"
$number = '10.0.26100.0'
$kmdf = '1.31'
$root = (Resolve-Path "$PSScriptRoot\..\..").Path
$drivers = @(
    @{ Folder = 'netadapter'; Name = 'cancelnic' },
    @{ Folder = 'filter'; Name = 'cancelnic-lwf' },
    @{ Folder = 'relay'; Name = 'cancelnic-relay' }
)

function Use-Compiler {
    $vswhere = "${env:ProgramFiles(x86)}\Microsoft Visual Studio\Installer\vswhere.exe"
    $studio = & $vswhere -latest -property installationPath
    & "$studio\Common7\Tools\Launch-VsDevShell.ps1" -Arch amd64 -HostArch amd64 -SkipAutomaticLocation
}

function Test-Headers {
    Use-Compiler
    $include = "$kit\Include\$number"
    $folders = "$include\km", "$include\shared", "$include\ucrt", "$kit\Include\wdf\kmdf\1.33",
        "$include\km\netcx\kmdf\adapter\2.0", "$include\shared\netcx\shared\1.0", "$include\km\netcx\shared\1.0"
    $options = @('/nologo', '/D_AMD64_=1', '/D_WIN64=1', '/DKMDF_VERSION_MAJOR=1', '/DKMDF_VERSION_MINOR=33')
    $options += $folders | Where-Object { Test-Path $_ } | ForEach-Object { "/I$_" }
    $wanted = 'kmdf', 'ndis', 'netadaptercx'
    foreach ($name in $wanted) {
        $source = (Resolve-Path "$Programs\$name.c").Path
        cl @options "/Fo$name.obj" "/Fe$name.exe" $source
        & ".\$name.exe"
        Write-Host "${name}: the kit's headers agree"
    }
}

function Build-Driver($driver, [string]$folder) {
    $name = $driver.Name
    $crate = $name.Replace('-', '_')
    Push-Location "$root\driver\$($driver.Folder)"
    try {
        if ($name -eq 'cancelnic-lwf') {
            # No framework: cargo-wdk would link it as a KMDF driver.
            $link = '/DRIVER', '/SUBSYSTEM:NATIVE,10.00', '/NODEFAULTLIB', '/KERNEL', '/OPT:REF,ICF', '/NXCOMPAT',
                '/DYNAMICBASE', '/RELEASE', '/MANIFEST:NO', '/DEBUG:FULL', '/ENTRY:DriverEntry'
            cargo rustc --locked --release -- ($link | ForEach-Object { "-Clink-arg=$_" })
        } else {
            cargo wdk build --profile release
        }
    } finally {
        Pop-Location
    }
    $built = "$root\target\release"
    $image = @("$built\$crate.sys", "$built\$crate.dll") | Where-Object { Test-Path $_ } | Select-Object -First 1
    Copy-Item $image "$folder\$name.sys"
    Copy-Item "$built\$crate.pdb" "$folder\$name.pdb"
}

function New-Package($driver, $certificate) {
    $name = $driver.Name
    $folder = (New-Item -ItemType Directory -Force "$Out\$name").FullName
    Build-Driver $driver $folder
    Copy-Item "$root\driver\$($driver.Folder)\$name.inx" "$folder\$name.inf"
    & "$kit\bin\$number\x86\stampinf.exe" -f "$folder\$name.inf" -a amd64 -d '*' -v '*' -k $kmdf -c "$name.cat"
    & "$kit\Tools\$number\x64\infverif.exe" /v /w "$folder\$name.inf"
    & "$kit\bin\$number\x86\inf2cat.exe" "/driver:$folder" '/os:10_x64,Server10_X64' /uselocaltime
    foreach ($file in "$folder\$name.sys", "$folder\$name.cat") {
        & "$kit\bin\$number\x64\signtool.exe" sign /fd SHA256 /s My /sha1 $certificate.Thumbprint $file
    }
    Export-Certificate -Cert $certificate -FilePath "$folder\$name.cer" | Out-Null
    Get-FileHash "$folder\*" -Algorithm SHA256 | ForEach-Object { Write-Host "$($_.Hash)  $($_.Path)" }
}

function New-Packages {
    cargo install --locked cargo-wdk --version 0.1.1
    # What windows-drivers-rs wants of a driver.
    $env:RUSTFLAGS = '-C target-feature=+crt-static'
    $certificate = New-SelfSignedCertificate -Type CodeSigningCert -Subject 'CN=cancelnic hosted test' `
        -CertStoreLocation Cert:\CurrentUser\My
    foreach ($driver in $drivers) { New-Package $driver $certificate }
}

switch ($Task) {
    'headers' { Test-Headers }
    'drivers' { New-Packages }
}
