<#
.SYNOPSIS
Installs the worker, or another version of it, for all accounts of this host. Settings and logs are left alone.

.DESCRIPTION
Finds a 64-bit Python 3.11 or newer that was installed for all users, builds the project from this checkout, and
installs it with the locked dependencies (every file checked by its hash) into an environment of its own, which the
workers' user can use and not change. pip is used as this machine has it configured.

Not run yet: it was written where no Windows was at hand. Only its grammar is checked.

.EXAMPLE
.\ops\windows\install.ps1 -User mt5

.EXAMPLE
.\ops\windows\install.ps1 -User mt5 -Python 'C:\Program Files\Python313\python.exe' -Root D:\mt5-worker
#>
[CmdletBinding()]
param(
    # The Windows user that runs the workers and their terminals: a plain user of its own.
    [Parameter(Mandatory)] [string] $User,
    # python.exe; found by itself when it is not given.
    [string] $Python = '',
    [string] $Root = (Join-Path $env:ProgramData 'mt5-worker')
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
. (Join-Path $PSScriptRoot 'common.ps1')

$Source = (Resolve-Path -LiteralPath (Join-Path $PSScriptRoot '..\..')).Path

function Find-Python {
    $suits = 'import struct, sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11) or struct.calcsize(''P'') < 8)'
    $candidates = @(@('py', '-3.13'), @('py', '-3.12'), @('py', '-3.11'), @('python'))
    if ($Python) { $candidates = @(, @($Python)) }
    foreach ($candidate in $candidates) {
        $name = $candidate[0]
        $arguments = @($candidate | Select-Object -Skip 1)
        if (-not (Get-Command $name -ErrorAction SilentlyContinue)) { continue }
        [void](& $name @arguments -c $suits)
        if ($LASTEXITCODE -eq 0) {
            return (& $name @arguments -c 'import sys; print(sys.executable)')
        }
    }
    throw 'No 64-bit Python 3.11 or newer was found. Install one for all users, or name its python.exe with -Python.'
}

function Assert-ForAllUsers {
    param([Parameter(Mandatory)] [string] $Program)
    if ($Program -like '*\Users\*' -or $Program -like '*\WindowsApps\*') {
        throw "$Program belongs to one user, and the workers run as $User. Install Python for all users."
    }
}

function Assert-NothingRuns {
    $accounts = Join-Path $Root 'accounts'
    if (-not (Test-Path -LiteralPath $accounts)) { return }
    $running = @(Get-ChildItem -LiteralPath $accounts -Directory | Where-Object { Test-Running $_.FullName })
    if ($running.Count -gt 0) {
        throw "Stop these accounts first (service.ps1 stop): $($running.Name -join ', ')"
    }
}

function Install-Worker {
    param([Parameter(Mandatory)] [string] $Python)
    $build = Join-Path $Root 'build'
    $venv = Join-Path $Root 'venv'
    $builder = Join-Path $build 'Scripts\python.exe'
    $worker = Join-Path $venv 'Scripts\python.exe'
    Invoke-Native { & $Python -m venv --clear $build }
    # What builds the project is checked by its hash, too, and stays out of the worker's environment.
    Invoke-Native { & $builder -m pip install --quiet --require-hashes -r (Join-Path $Source 'requirements.lock') }
    Invoke-Native { & $builder -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $build $Source }
    Invoke-Native { & $Python -m venv --clear $venv }
    Invoke-Native { & $worker -m pip install --quiet --require-hashes -r (Join-Path $Source 'ops\runtime.lock') }
    $wheel = (Get-ChildItem -LiteralPath $build -Filter '*.whl').FullName
    Invoke-Native { & $worker -m pip install --quiet --no-deps $wheel }
    Remove-Item -LiteralPath $build -Recurse -Force
}

Assert-Administrator
if (-not (Test-Path -LiteralPath (Join-Path $Source 'pyproject.toml'))) { throw 'Run the script of a checkout.' }
Assert-NothingRuns
[void](Get-Sid $User)
$found = Find-Python
Assert-ForAllUsers $found

[void](New-Item -ItemType Directory -Force -Path $Root, (Join-Path $Root 'accounts'), (Join-Path $Root 'scripts'))
Set-FolderAccess -Path $Root -User $User -Rights RX
Write-Host "Installing with $found into $Root"
Install-Worker -Python $found
Copy-Item -Path (Join-Path $PSScriptRoot '*.ps1') -Destination (Join-Path $Root 'scripts') -Force
Invoke-Native { & (Get-WorkerProgram $Root 'mt5-worker.exe') --version }
Write-Host "Ready. Next, for each account: $(Join-Path $Root 'scripts\configure.ps1')"
