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
    Dim ticker As Long
    Dim lastTicker As Long
    Dim tickers As Long
    Dim problem As String
    On Error GoTo Failed
    If HelperCell("EngineState").Value = "ERROR" Or HelperCell("EngineState").Value = "DONE" Then Exit Sub
    If HelperCell("StopRequest").Value <> 0 Then
        HelperCell("EngineState").Value = "STOPPED"
        Exit Sub
    End If
    problem = WrongSetting()
    If problem <> "" Then
        RecordError "StepBatch", problem
        Exit Sub
    End If
    HelperCell("EngineState").Value = "RUNNING"
    Application.ScreenUpdating = False
    Application.Calculation = xlCalculationManual
    tickers = HelperCell("TickerCount").Value
    ticker = HelperCell("NextTicker").Value
    lastTicker = ticker + HelperCell("ChunkSize").Value - 1
    If lastTicker > tickers Then lastTicker = tickers
    Do While ticker <= lastTicker
        LoadTicker ticker
        Application.Calculate
        problem = WrongAnswer()
        If problem <> "" Then
            Application.ScreenUpdating = True
            RecordError "ticker " & ticker, problem
            Exit Sub
        End If
        KeepAnswer ticker
        ticker = ticker + 1
    Loop
    If ticker > tickers Then HelperCell("EngineState").Value = "DONE"
    Application.ScreenUpdating = True
    Exit Sub
Failed:
    RecordError "StepBatch", Err.Description
    Application.ScreenUpdating = True
End Sub

' For a person: the whole batch, with its progress in the status bar and a Stop button that works.
Public Sub RunBatch()
    On Error GoTo Failed
    Do
        StepBatch
        Application.StatusBar = "TSH: ticker " & HelperCell("LastFinished").Value & " of " & HelperCell("TickerCount").Value
        DoEvents
    Loop While HelperCell("EngineState").Value = "RUNNING"
    Application.StatusBar = False
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

' Copies one ticker from Data to Work.
Private Sub LoadTicker(ByVal ticker As Long)
    Dim bars As Range
    Set bars = NamedRange("DataBars")
    bars.Resize(RowsOfTicker, bars.Columns.Count).Offset((ticker - 1) * RowsOfTicker, 0).Copy NamedRange("WorkBars")
    HelperCell("WorkNumber").Value = ticker
    HelperCell("WorkSymbol").Value = NamedRange("DataSymbols").Cells(ticker, 1).Value
End Sub

' Why the answer for the ticker in Work must not be used, or nothing.
Private Function WrongAnswer() As String
    Dim answer As Range
    Dim column As Long
    WrongAnswer = ""
    If HelperCell("OutErrors").Value = 0 Then Exit Function
    If Not IsNumeric(HelperCell("WorkCheck").Value) Then
        WrongAnswer = "a bar in Data is missing, not a number, or not positive"
        Exit Function
    End If
    Set answer = NamedRange("OutRow")
    For column = 3 To answer.Columns.Count
        If Not IsNumeric(answer.Cells(1, column).Value) Then
            WrongAnswer = "error cell in Out: " & answer.Cells(1, column).Offset(-1, 0).Value
            Exit Function
        End If
    Next column
    WrongAnswer = "error cell in Out"
End Function

' Copies the row of Out to Results and moves the helper cells on.
Private Sub KeepAnswer(ByVal ticker As Long)
    Dim outputRow As Long
    Dim answer As Range
    outputRow = HelperCell("OutputRow").Value
    Set answer = NamedRange("OutRow")
    NamedRange("ResultRows").Resize(1, answer.Columns.Count).Offset(outputRow - 1, 0).Value = answer.Value
    HelperCell("LastFinished").Value = ticker
    HelperCell("NextTicker").Value = ticker + 1
    HelperCell("OutputRow").Value = outputRow + 1
End Sub
