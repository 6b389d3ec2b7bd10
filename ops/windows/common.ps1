# What the scripts beside this one share. Windows PowerShell 5.1 or PowerShell 7.
# Not run yet: it was written where no Windows was at hand. Only its grammar is checked.

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$TaskPath = '\mt5-worker\'
$SystemSid = 'S-1-5-18'
$AdministratorsSid = 'S-1-5-32-544'

function Assert-Administrator {
    $identity = New-Object System.Security.Principal.WindowsPrincipal(
        [System.Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $identity.IsInRole([System.Security.Principal.WindowsBuiltInRole]::Administrator)) {
        throw 'Start this script in a PowerShell that was opened with "Run as administrator".'
    }
}

# Standard error is never redirected: Windows PowerShell 5.1 turns its lines into errors that end the script.
function Invoke-Native {
    param([Parameter(Mandatory)] [scriptblock] $Command)
    & $Command
    if ($LASTEXITCODE -ne 0) {
        throw "Ended with code ${LASTEXITCODE}: $Command"
    }
}

function Get-Sid {
    param([Parameter(Mandatory)] [string] $User)
    try {
        $account = New-Object System.Security.Principal.NTAccount($User)
        return $account.Translate([System.Security.Principal.SecurityIdentifier]).Value
    }
    catch [System.Security.Principal.IdentityNotMappedException] {
        throw "There is no user $User. Create it first: a plain user of its own for the workers, no administrator."
    }
}

# Nobody but the system, administrators and this user: what a folder inherits from above is cut off.
function Set-FolderAccess {
    param(
        [Parameter(Mandatory)] [string] $Path,
        [Parameter(Mandatory)] [string] $User,
        [Parameter(Mandatory)] [ValidateSet('RX', 'M')] [string] $Rights
    )
    $sid = Get-Sid $User
    Invoke-Native {
        icacls $Path /q /inheritance:r /grant:r "*${SystemSid}:(OI)(CI)F" "*${AdministratorsSid}:(OI)(CI)F" `
            "*${sid}:(OI)(CI)${Rights}"
    }
}

function Set-SecretFileAccess {
    param(
        [Parameter(Mandatory)] [string] $Path,
        [Parameter(Mandatory)] [string] $User
    )
    $sid = Get-Sid $User
    Invoke-Native {
        icacls $Path /q /inheritance:r /grant:r "*${SystemSid}:F" "*${AdministratorsSid}:F" "*${sid}:R"
    }
}

function Get-WorkerProgram {
    param(
        [Parameter(Mandatory)] [string] $Root,
        [Parameter(Mandatory)] [ValidateSet('python.exe', 'mt5-worker.exe')] [string] $Name
    )
    $program = Join-Path $Root "venv\Scripts\$Name"
    if (-not (Test-Path -LiteralPath $program)) {
        throw "$program is missing: run install.ps1 first."
    }
    return $program
}

function Get-AccountFolder {
    param(
        [Parameter(Mandatory)] [string] $Root,
        [Parameter(Mandatory)] [string] $Account
    )
    return Join-Path $Root "accounts\$Account"
}

# The supervisor keeps the record for as long as it runs; a power cut may leave one behind.
function Test-Running {
    param([Parameter(Mandatory)] [string] $Folder)
    $record = Get-Content -LiteralPath (Join-Path $Folder 'running.json') -Raw -ErrorAction SilentlyContinue
    if (-not $record) { return $false }
    $number = ($record | ConvertFrom-Json).supervisor[0]
    return $null -ne (Get-Process -Id $number -ErrorAction SilentlyContinue)
}

# One command line of the worker, run where it finds the account's settings.
function Invoke-Worker {
    param(
        [Parameter(Mandatory)] [string] $Root,
        [Parameter(Mandatory)] [string] $Account,
        [Parameter(Mandatory)] [string[]] $Arguments
    )
    $program = Get-WorkerProgram $Root 'mt5-worker.exe'
    Push-Location -LiteralPath (Get-AccountFolder $Root $Account)
    try {
        Invoke-Native { & $program @Arguments }
    }
    finally {
        Pop-Location
    }
}
