"""Sources of ``tsh_engine.xlsm``, the compute engine as a workbook; ``python -m workbook.build`` writes it."""
