// Entry
print("mangrove")
