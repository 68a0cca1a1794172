Attribute VB_Name = "TshEngine"
Option Explicit

' The cycling macro. Each call of StepBatch works through at most ChunkSize tickers: copy
' the ticker's rows from Data to Work, calculate, refuse or copy the row of Out to Results,
' move the helper cells on. Python calls it until EngineState is no longer RUNNING; RunBatch
' does the same for a person. Short calls keep the workbook answering between them.

Private Const RowsOfTicker As Long = 65
Private Const MostTickers As Long = 250
Private Const MostResults As Long = 1000

Public Sub PingEngine()
    On Error GoTo Failed
    HelperCell("PingEngineAnswer").Value = HelperCell("ProtocolVersion").Value
    Exit Sub
Failed:
    RecordError "PingEngine", Err.Description
End Sub

Public Sub StepBatch()
    Dim state As Range
    Dim problem As String
    On Error GoTo Failed
    Set state = HelperCell("EngineState")
    If state.Value = "ERROR" Or state.Value = "DONE" Then Exit Sub
    If HelperCell("StopRequest").Value <> 0 Then
        state.Value = "STOPPED"
        Exit Sub
    End If
    problem = WrongSetting()
    If problem <> "" Then
        RecordError "StepBatch", problem
        Exit Sub
    End If
    state.Value = "RUNNING"
    Application.ScreenUpdating = False
    Application.Calculation = xlCalculationManual
    WorkThroughChunk state
    Application.ScreenUpdating = True
    Exit Sub
Failed:
    RecordError "StepBatch", Err.Description
    Application.ScreenUpdating = True
End Sub

' For a person: the whole batch. LastFinished on Control counts, the Stop button works between
' chunks. (The status bar would be the place to count, but it can bring a LibreOffice without
' a window down.)
Public Sub RunBatch()
    On Error GoTo Failed
    Do
        StepBatch
        DoEvents
    Loop While HelperCell("EngineState").Value = "RUNNING"
    Exit Sub
Failed:
    RecordError "RunBatch", Err.Description
End Sub

' What is wrong with the helper cells, or nothing.
Private Function WrongSetting() As String
    Dim tickers As Long
    Dim nextTicker As Long
    WrongSetting = ""
    If Not IsNumeric(HelperCell("TickerCount").Value) Or Not IsNumeric(HelperCell("ChunkSize").Value) _
        Or Not IsNumeric(HelperCell("NextTicker").Value) Or Not IsNumeric(HelperCell("OutputRow").Value) Then
        WrongSetting = "TickerCount, ChunkSize, NextTicker and OutputRow must be numbers"
        Exit Function
    End If
    tickers = HelperCell("TickerCount").Value
    nextTicker = HelperCell("NextTicker").Value
    If tickers < 1 Or tickers > MostTickers Then
        WrongSetting = "TickerCount is " & tickers & ": it must be 1 to " & MostTickers
    ElseIf HelperCell("ChunkSize").Value < 1 Then
        WrongSetting = "ChunkSize must be at least 1"
    ElseIf nextTicker < 1 Or nextTicker > tickers Then
        WrongSetting = "NextTicker is " & nextTicker & ": it must be 1 to " & tickers & "; ResetEngine starts again"
    ElseIf HelperCell("OutputRow").Value < 1 Or HelperCell("OutputRow").Value + tickers - nextTicker > MostResults Then
        WrongSetting = "Results has no room from row " & HelperCell("OutputRow").Value & ": ClearResults first"
    ElseIf HelperCell("ShiftRows").Value <> 0 And HelperCell("ShiftRows").Value <> 1 Then
        WrongSetting = "ShiftRows must be 1 (training) or 0 (execution)"
    End If
End Function

' At most ChunkSize tickers from NextTicker on. Ranges are looked up once: a look-up by name
' costs as much as hundreds of formulas.
Private Sub WorkThroughChunk(ByVal state As Range)
    Dim nextTicker As Range, lastFinished As Range, outputRow As Range
    Dim bars As Range, symbols As Range, workBars As Range, workNumber As Range, workSymbol As Range
    Dim answer As Range, answerErrors As Range, results As Range
    Dim ticker As Long, lastTicker As Long, tickers As Long, row As Long
    Set nextTicker = HelperCell("NextTicker")
    Set lastFinished = HelperCell("LastFinished")
    Set outputRow = HelperCell("OutputRow")
    Set bars = NamedRange("DataBars").Resize(RowsOfTicker, 5)
    Set symbols = NamedRange("DataSymbols")
    Set workBars = NamedRange("WorkBars")
    Set workNumber = NamedRange("WorkNumber")
    Set workSymbol = NamedRange("WorkSymbol")
    Set answer = NamedRange("OutRow")
    Set answerErrors = NamedRange("OutErrors")
    Set results = NamedRange("ResultRows").Resize(1, answer.Columns.Count)
    tickers = HelperCell("TickerCount").Value
    ticker = nextTicker.Value
    row = outputRow.Value
    lastTicker = ticker + HelperCell("ChunkSize").Value - 1
    If lastTicker > tickers Then lastTicker = tickers
    Do While ticker <= lastTicker
        bars.Offset((ticker - 1) * RowsOfTicker, 0).Copy workBars
        workNumber.Value = ticker
        workSymbol.Value = symbols.Cells(ticker, 1).Value
        Application.Calculate
        If answerErrors.Value <> 0 Then
            RecordError "ticker " & ticker, WrongAnswer(answer)
            Exit Sub
        End If
        results.Offset(row - 1, 0).Value = answer.Value
        ticker = ticker + 1
        row = row + 1
        lastFinished.Value = ticker - 1
        nextTicker.Value = ticker
        outputRow.Value = row
    Loop
    If ticker > tickers Then state.Value = "DONE"
End Sub

' Why the answer for the ticker in Work must not be used.
Private Function WrongAnswer(ByVal answer As Range) As String
    Dim column As Long
    WrongAnswer = "error cell in Out"
    If Not IsNumeric(NamedRange("WorkCheck").Value) Then
        WrongAnswer = "a bar in Data is missing, not a number, or not positive"
        Exit Function
    End If
    For column = 3 To answer.Columns.Count
        If Not IsNumeric(answer.Cells(1, column).Value) Then
            WrongAnswer = "error cell in Out: " & answer.Cells(1, column).Offset(-1, 0).Value
            Exit Function
        End If
    Next column
End Function
