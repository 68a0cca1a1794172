"""The workbook as a compute engine."""
