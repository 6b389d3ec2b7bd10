<#
.SYNOPSIS
Registers, starts, stops and removes the scheduled task that runs the worker of one account.

.DESCRIPTION
register   makes the task: at the logon of the workers' user, in the session of that user, where the terminal has a
           desktop. It stays off until start.
start      switches the task on and starts it. The user must be logged on.
stop       has the worker finish what is open and end; the task stays off until start, over a restart of Windows, too.
status     shows the task and what the ledger says of the account.
remove     removes the task. Settings and logs stay.
run        is what the task does; by hand, in the session of the workers' user, it shows what goes wrong at a start.

Not run yet: it was written where no Windows was at hand. Only its grammar is checked.

.EXAMPLE
.\service.ps1 register -Account demo -User mt5

.EXAMPLE
.\service.ps1 stop -Account demo
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory, Position = 0)]
    [ValidateSet('register', 'start', 'stop', 'status', 'remove', 'run')] [string] $Action,
    [Parameter(Mandatory)] [ValidatePattern('^[A-Za-z0-9_-]{1,64}$')] [string] $Account,
    # The Windows user that runs the workers; for register.
    [string] $User = '',
    # How long stop waits. The supervisor itself kills a worker that takes 45 s more than DRAIN_TIMEOUT_SECONDS.
    [ValidateRange(1, 86400)] [int] $WaitSeconds = 120,
    [string] $Root = (Join-Path $env:ProgramData 'mt5-worker')
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
. (Join-Path $PSScriptRoot 'common.ps1')

$Folder = Get-AccountFolder $Root $Account
$StopFile = Join-Path $Folder 'stop'

function Get-Task {
    $task = Get-ScheduledTask -TaskPath $TaskPath -TaskName $Account -ErrorAction SilentlyContinue
    if ($null -eq $task) { throw "Account $Account has no task: service.ps1 register -Account $Account -User ..." }
    return $task
}

function Wait-ForRunning {
    param([Parameter(Mandatory)] [bool] $Wanted, [Parameter(Mandatory)] [int] $Seconds)
    $until = (Get-Date).AddSeconds($Seconds)
    while ((Get-Date) -lt $until) {
        if ((Test-Running $Folder) -eq $Wanted) { return $true }
        Start-Sleep -Milliseconds 500
    }
    return $false
}

function Register-Worker {
    if (-not $User) { throw 'Say with -User which Windows user runs the workers.' }
    if (-not (Test-Path -LiteralPath (Join-Path $Folder '.env'))) { throw "Run configure.ps1 for $Account first." }
    [void](Get-Sid $User)
    $script = Join-Path $Root 'scripts\service.ps1'
    $arguments = "-NoProfile -NonInteractive -ExecutionPolicy Bypass -WindowStyle Hidden " +
        "-File `"$script`" run -Account $Account -Root `"$Root`""
    $shell = Join-Path $env:SystemRoot 'System32\WindowsPowerShell\v1.0\powershell.exe'
    $trigger = New-ScheduledTaskTrigger -AtLogOn -User $User
    # A supervisor that was killed is back after five minutes at most; one that runs is left alone (IgnoreNew).
    $trigger.Repetition = (New-ScheduledTaskTrigger -Once -At (Get-Date) `
            -RepetitionInterval (New-TimeSpan -Minutes 5)).Repetition
    $task = @{
        TaskPath  = $TaskPath
        TaskName  = $Account
        Action    = New-ScheduledTaskAction -Execute $shell -Argument $arguments -WorkingDirectory $Folder
        Trigger   = $trigger
        Principal = New-ScheduledTaskPrincipal -UserId $User -LogonType Interactive -RunLevel Limited
        # Without these a task ends after 72 hours, on batteries, and runs with less than normal priority.
        Settings  = New-ScheduledTaskSettingsSet -MultipleInstances IgnoreNew -ExecutionTimeLimit ([TimeSpan]::Zero) `
            -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -DontStopOnIdleEnd -StartWhenAvailable -Priority 4
    }
    [void](Register-ScheduledTask @task -Force)
    [void](Disable-ScheduledTask -TaskPath $TaskPath -TaskName $Account)
    Write-Host "Registered and off. Switch it on: service.ps1 start -Account $Account"
}

function Start-Worker {
    [void](Get-Task | Enable-ScheduledTask)
    Start-ScheduledTask -TaskPath $TaskPath -TaskName $Account
    if (-not (Wait-ForRunning -Wanted $true -Seconds 30)) {
        throw 'It does not run. The task needs the session of its user: log on as that user (autologon does so). ' +
            "If that user is logged on, see $(Join-Path $Folder 'logs'), or run service.ps1 run in that session."
    }
    Write-Host "Started. What it does: Get-Content -Wait '$(Join-Path $Folder 'logs\worker.log')'"
}

function Stop-Worker {
    [void](Get-Task | Disable-ScheduledTask)
    if (-not (Test-Running $Folder)) {
        Write-Host 'It was not running, and stays off.'
        return
    }
    [void](New-Item -ItemType File -Force -Path $StopFile)
    if (-not (Wait-ForRunning -Wanted $false -Seconds $WaitSeconds)) {
        throw "It has not ended within $WaitSeconds s. See $(Join-Path $Folder 'logs'). The processes named in " +
            'running.json may be ended in the Task Manager: the next start finds out what became of every open order.'
    }
    Write-Host 'Stopped, and off until start.'
}

function Show-Worker {
    $task = Get-Task
    $info = $task | Get-ScheduledTaskInfo
    Write-Host "Task: $($task.State), last started $($info.LastRunTime), last result $($info.LastTaskResult)"
    Invoke-Worker $Root $Account @('status')
}

function Remove-Worker {
    if (Test-Running $Folder) { throw "Stop it first: service.ps1 stop -Account $Account" }
    Get-Task | Unregister-ScheduledTask -Confirm:$false
    Write-Host "Removed. Settings and logs stay in $Folder"
}

switch ($Action) {
    'run' {
        & (Get-WorkerProgram $Root 'python.exe') -P -m ops.windows.supervisor $Folder
        exit $LASTEXITCODE
    }
    'status' { Show-Worker }
    default {
        Assert-Administrator
        switch ($Action) {
            'register' { Register-Worker }
            'start' { Start-Worker }
            'stop' { Stop-Worker }
            'remove' { Remove-Worker }
        }
    }
}
