@echo off
rem Collects what is to be known of a run of cancelnic's drivers into one archive, and prints its name. Run it as
rem administrator. It changes nothing. A tool that fails is named in errors.txt, and the rest goes on.
setlocal
set to=%TEMP%\cancelnic-logs
set archive=%USERPROFILE%\Desktop\cancelnic-logs.zip
if not "%~1"=="" set archive=%~1
rd /s /q "%to%" 2>nul
md "%to%"
if not exist "%to%" exit /b 1
cd /d "%to%"
ver >windows.txt 2>&1
call :checked windows.txt
systeminfo >system.txt 2>&1
call :checked system.txt
bcdedit /enum {current} >boot.txt 2>&1
call :checked boot.txt
reg query HKLM\SYSTEM\CurrentControlSet\Control /v SystemStartOptions >start-options.txt 2>&1
call :checked start-options.txt
reg query HKLM\SYSTEM\CurrentControlSet\Control\Wdf\Kmdf /s >class-versions.txt 2>&1
call :checked class-versions.txt
reg query HKLM\SYSTEM\CurrentControlSet\Services\cancelnic /s >nic-service.txt 2>&1
call :checked nic-service.txt
reg query "HKLM\SYSTEM\CurrentControlSet\Enum\PCI" /s /f "VEN_1AF4&DEV_1041" /k >nic-device.txt 2>&1
call :checked nic-device.txt
reg query "HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318}" /s >nic-keywords.txt 2>&1
call :checked nic-keywords.txt
sc queryex type= driver state= all >services.txt 2>&1
call :checked services.txt
pnputil /enum-drivers >driver-packages.txt 2>&1
call :checked driver-packages.txt
pnputil /enum-devices /class Net /drivers >net-devices.txt 2>&1
call :checked net-devices.txt
pnputil /enum-devices /problem >problems.txt 2>&1
call :checked problems.txt
netcfg -s n >bindings.txt 2>&1
call :checked bindings.txt
ipconfig /all >addresses.txt 2>&1
call :checked addresses.txt
powershell -NoProfile -Command "Get-NetAdapter -IncludeHidden | Format-List *; Get-NetAdapterBinding | Format-Table -AutoSize; Get-NetAdapterStatistics | Format-List *" >adapters.txt 2>&1
call :checked adapters.txt
verifier /query >verifier.txt 2>&1
call :checked verifier.txt
verifier /querysettings >verifier-settings.txt 2>&1
call :checked verifier-settings.txt
wevtutil query-events System /c:400 /rd:true /f:text >system-events.txt 2>&1
call :checked system-events.txt
wevtutil query-events Microsoft-Windows-Kernel-PnP/Configuration /c:200 /rd:true /f:text >pnp-events.txt 2>&1
call :checked pnp-events.txt
wevtutil query-events Microsoft-Windows-CodeIntegrity/Operational /c:100 /rd:true /f:text >code-integrity.txt 2>&1
call :checked code-integrity.txt
wevtutil query-events Microsoft-Windows-NDIS/Operational /c:100 /rd:true /f:text >ndis-events.txt 2>&1
call :checked ndis-events.txt
call :take "%SystemRoot%\INF\setupapi.dev.log"
call :take "%SystemRoot%\INF\setupapi.setup.log"
call :take "%SystemRoot%\Panther\setupact.log"
call :take "%ProgramData%\cancelnic\agent.log"
for %%f in ("%SystemRoot%\Minidump\*.dmp") do call :take "%%~f"
dir "%SystemRoot%\MEMORY.DMP" "%SystemRoot%\LiveKernelReports" /s >dumps.txt 2>&1
cd /d "%TEMP%"
tar -a -c -f "%archive%" cancelnic-logs
if not %errorlevel%==0 (
    echo No archive could be made: send the folder %to%
    exit /b 1
)
echo %archive%
exit /b 0

:checked
rem a digit before the > would be taken for a handle
if not %errorlevel%==0 >>errors.txt echo %1: exit code %errorlevel%
exit /b 0

:take
if not exist "%~1" (
    echo %~nx1: not there>>errors.txt
    exit /b 0
)
copy /y "%~1" . >nul
if not %errorlevel%==0 echo %~nx1: cannot be copied>>errors.txt
exit /b 0
