Attribute VB_Name = "TshControl"
Option Explicit

' Small macros on the helper cells of Control. No arguments, no return values: a caller
' looks at EngineState and LastError, the same way in Excel and in LibreOffice.

Public Sub PingControl()
    On Error GoTo Failed
    HelperCell("PingControlAnswer").Value = HelperCell("ProtocolVersion").Value
    Exit Sub
Failed:
    RecordError "PingControl", Err.Description
End Sub

' Asks a running batch to stop before its next chunk. Set StopRequest to 0 to go on.
Public Sub RequestStop()
    On Error GoTo Failed
    HelperCell("StopRequest").Value = 1
    Exit Sub
Failed:
    RecordError "RequestStop", Err.Description
End Sub

' Training: row 1 of a ticker confirms, row 2 is the signal bar.
Public Sub ShiftTraining()
    On Error GoTo Failed
    HelperCell("ShiftRows").Value = 1
    Exit Sub
Failed:
    RecordError "ShiftTraining", Err.Description
End Sub

' Execution: row 1 of a ticker is the signal bar; there is no confirmation row and no PP.
Public Sub ShiftExecution()
    On Error GoTo Failed
    HelperCell("ShiftRows").Value = 0
    Exit Sub
Failed:
    RecordError "ShiftExecution", Err.Description
End Sub

Public Sub ClearData()
    On Error GoTo Failed
    NamedRange("DataBars").ClearContents
    NamedRange("DataSymbols").ClearContents
    HelperCell("TickerCount").Value = 0
    Exit Sub
Failed:
    RecordError "ClearData", Err.Description
End Sub

Public Sub ClearResults()
    On Error GoTo Failed
    NamedRange("ResultRows").ClearContents
    HelperCell("OutputRow").Value = 1
    Exit Sub
Failed:
    RecordError "ClearResults", Err.Description
End Sub

' Back to the start of a batch. Data, parameters and results stay.
Public Sub ResetEngine()
    On Error GoTo Failed
    HelperCell("NextTicker").Value = 1
    HelperCell("LastFinished").Value = 0
    HelperCell("StopRequest").Value = 0
    HelperCell("LastError").Value = ""
    HelperCell("EngineState").Value = "IDLE"
    Exit Sub
Failed:
    RecordError "ResetEngine", Err.Description
End Sub

Public Function HelperCell(ByVal cellName As String) As Range
    Set HelperCell = ThisWorkbook.Names(cellName).RefersToRange
End Function

Public Function NamedRange(ByVal rangeName As String) As Range
    Set NamedRange = ThisWorkbook.Names(rangeName).RefersToRange
End Function

' The last thing that every failing macro does: say so where a caller can see it.
Public Sub RecordError(ByVal where As String, ByVal what As String)
    HelperCell("LastError").Value = where & ": " & what
    HelperCell("EngineState").Value = "ERROR"
End Sub
