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
call :run windows.txt ver
call :run system.txt systeminfo
call :run boot.txt bcdedit /enum {current}
call :run start-options.txt reg query HKLM\SYSTEM\CurrentControlSet\Control /v SystemStartOptions
call :run class-versions.txt reg query HKLM\SYSTEM\CurrentControlSet\Control\Wdf\Kmdf /s
call :run nic-service.txt reg query HKLM\SYSTEM\CurrentControlSet\Services\cancelnic /s
call :run nic-device.txt reg query "HKLM\SYSTEM\CurrentControlSet\Enum\PCI" /s /f "VEN_1AF4&DEV_1041" /k
call :run nic-keywords.txt reg query "HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318}" /s
call :run services.txt sc queryex type= driver state= all
call :run driver-packages.txt pnputil /enum-drivers
call :run net-devices.txt pnputil /enum-devices /class Net /drivers
call :run problems.txt pnputil /enum-devices /problem
call :run bindings.txt netcfg -s n
call :run addresses.txt ipconfig /all
call :run adapters.txt powershell -NoProfile -Command "Get-NetAdapter -IncludeHidden | Format-List *; Get-NetAdapterBinding | Format-Table -AutoSize; Get-NetAdapterStatistics | Format-List *"
call :run verifier.txt verifier /query
call :run verifier-settings.txt verifier /querysettings
call :run system-events.txt wevtutil query-events System /c:400 /rd:true /f:text
call :run pnp-events.txt wevtutil query-events Microsoft-Windows-Kernel-PnP/Configuration /c:200 /rd:true /f:text
call :run code-integrity.txt wevtutil query-events Microsoft-Windows-CodeIntegrity/Operational /c:100 /rd:true /f:text
call :run ndis-events.txt wevtutil query-events Microsoft-Windows-NDIS/Operational /c:100 /rd:true /f:text
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

:run
set name=%1
rem all behind the first word
for /f "tokens=1,*" %%a in ("%*") do set command=%%b
%command% >%name% 2>&1
if not %errorlevel%==0 echo %name%: exit code %errorlevel%: %command%>>errors.txt
exit /b 0

:take
if not exist "%~1" (
    echo %~nx1: not there>>errors.txt
    exit /b 0
)
copy /y "%~1" . >nul
if not %errorlevel%==0 echo %~nx1: cannot be copied>>errors.txt
exit /b 0
