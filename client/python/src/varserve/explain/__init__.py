"""What an intervention did to one answer, shown as the page of `varserve explain`."""
