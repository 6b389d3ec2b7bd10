<#
.SYNOPSIS
Writes the settings of one account into a file that only the workers' user, administrators and the system can read.

.DESCRIPTION
Takes parameters, and asks for what is missing; secrets are asked for without an echo. They come as secure strings or
from the prompt, never as plain arguments, which other processes and the log of commands could see.

There is no default backend: simulated fills must never be taken for real ones. Further settings go into the file by
hand, one NAME='value' a line.

Not run yet: it was written where no Windows was at hand. Only its grammar is checked.

.EXAMPLE
.\configure.ps1 -Account demo -User mt5 -Backend native -AccountMode hedging -Terminal C:\MT5\demo\terminal64.exe `
    -Login 5012345 -Server Broker-Demo
#>
[CmdletBinding()]
param(
    # Its name in queues, routing keys and the ledger.
    [Parameter(Mandatory)] [ValidatePattern('^[A-Za-z0-9_-]{1,64}$')] [string] $Account,
    [Parameter(Mandatory)] [string] $User,
    [Parameter(Mandatory)] [ValidateSet('native', 'simulated')] [string] $Backend,
    [Parameter(Mandatory)] [securestring] $AmqpUrl,
    [Parameter(Mandatory)] [securestring] $PostgresUrl,
    # What follows is asked for with the native backend only.
    [ValidateSet('', 'netting', 'hedging')] [string] $AccountMode = '',
    # One terminal64.exe or several, each in a folder of its own that no other account uses.
    [string[]] $Terminal = @(),
    [ValidateRange(0, 9223372036854775807)] [long] $Login = 0,
    [string] $Server = '',
    [securestring] $Password = $null,
    [string] $Root = (Join-Path $env:ProgramData 'mt5-worker'),
    # Write a file anew that exists already.
    [switch] $Force
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
. (Join-Path $PSScriptRoot 'common.ps1')

function ConvertFrom-Secret {
    param([Parameter(Mandatory)] [securestring] $Secret)
    return (New-Object System.Net.NetworkCredential('', $Secret)).Password
}

# The worker's reader takes quotes and backslashes by a backslash and fills in ${NAME}, which ${:-$}{ keeps it from.
function ConvertTo-SettingsLine {
    param(
        [Parameter(Mandatory)] [string] $Name,
        [Parameter(Mandatory)] [string] $Value
    )
    if ($Value -match '[\r\n]') { throw "${Name}: a value has one line." }
    return "$Name='" + $Value.Replace('\', '\\').Replace("'", "\'").Replace('${', '${:-$}{') + "'"
}

# A terminal's folder holds one login: two accounts in one would take the terminal from each other.
function Assert-OwnTerminal {
    param([Parameter(Mandatory)] [string] $Program)
    if (-not (Test-Path -LiteralPath $Program -PathType Leaf)) {
        throw "There is no $Program. Install a terminal for this account into a folder of its own."
    }
    $spelled = (ConvertTo-Json -Compress $Program).Trim('"').Replace('\', '\\')
    foreach ($other in Get-ChildItem -LiteralPath (Join-Path $Root 'accounts') -Directory) {
        $settings = Join-Path $other.FullName '.env'
        if ($other.Name -ne $Account -and (Test-Path -LiteralPath $settings) -and
            (Select-String -LiteralPath $settings -SimpleMatch -Quiet -Pattern $spelled)) {
            throw "$Program is the terminal of account $($other.Name). Each account needs a terminal of its own."
        }
    }
}

function Get-SessionsSetting {
    $sessions = [ordered]@{}
    foreach ($program in $Terminal) {
        $sessions["terminal-$($sessions.Count + 1)"] = @{ terminal = $program; portable = $true }
    }
    return ConvertTo-Json -Compress $sessions
}

function Get-CommonLines {
    ConvertTo-SettingsLine 'ACCOUNT' $Account
    ConvertTo-SettingsLine 'MT5_BACKEND' $Backend
    ConvertTo-SettingsLine 'AMQP_URL' (ConvertFrom-Secret $AmqpUrl)
    ConvertTo-SettingsLine 'POSTGRES_URL' (ConvertFrom-Secret $PostgresUrl)
    ConvertTo-SettingsLine 'LOG_FORMAT' 'json'
}

function Get-NativeLines {
    ConvertTo-SettingsLine 'ACCOUNT_MODE' $AccountMode
    ConvertTo-SettingsLine 'MT5_SESSIONS' (Get-SessionsSetting)
    ConvertTo-SettingsLine 'MT5_LOGIN' "$Login"
    ConvertTo-SettingsLine 'MT5_SERVER' $Server
    ConvertTo-SettingsLine 'MT5_PASSWORD' (ConvertFrom-Secret $Password)
}

function Write-SecretFile {
    param(
        [Parameter(Mandatory)] [string] $Path,
        [Parameter(Mandatory)] [string[]] $Lines
    )
    # Empty first, then closed to others, then filled: the secrets are never readable by anybody else.
    [System.IO.File]::WriteAllText($Path, '')
    Set-SecretFileAccess -Path $Path -User $User
    $utf8 = New-Object System.Text.UTF8Encoding($false)
    [System.IO.File]::WriteAllText($Path, ($Lines -join "`n") + "`n", $utf8)
}

Assert-Administrator
[void](Get-WorkerProgram $Root 'mt5-worker.exe')
if ($Backend -eq 'native') {
    if (-not $AccountMode) { $AccountMode = Read-Host 'Account mode (netting or hedging)' }
    if ($Terminal.Count -eq 0) { $Terminal = @(Read-Host 'Path of the terminal64.exe of this account') }
    if ($Login -eq 0) { $Login = [long] (Read-Host 'Login') }
    if (-not $Server) { $Server = Read-Host 'Server, as the terminal spells it' }
    if ($null -eq $Password) { $Password = Read-Host 'Password of the login' -AsSecureString }
    $Terminal | ForEach-Object { Assert-OwnTerminal $_ }
}

$folder = Get-AccountFolder $Root $Account
$settings = Join-Path $folder '.env'
if ((Test-Path -LiteralPath $settings) -and -not $Force) {
    throw "$settings exists. Change it by hand, or write it anew with -Force."
}
[void](New-Item -ItemType Directory -Force -Path $folder, (Join-Path $folder 'logs'))
Set-FolderAccess -Path $folder -User $User -Rights M
if ($Backend -eq 'native') {
    # A portable terminal keeps logins, journals and updates of itself in its own folder.
    $Terminal | ForEach-Object { Set-FolderAccess -Path (Split-Path -Parent $_) -User $User -Rights M }
}
$lines = @(Get-CommonLines)
if ($Backend -eq 'native') { $lines += @(Get-NativeLines) }
Write-SecretFile -Path $settings -Lines $lines

Write-Host "Written: $settings"
Write-Host 'Reading it back, and asking PostgreSQL for its schema:'
Invoke-Worker $Root $Account @('db', 'check')
